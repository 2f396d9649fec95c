"""The entropy device: bytes that are the same in every run, so that a run can be repeated.

Source: Virtual I/O Device (VIRTIO) 1.2, 5.4.
"""

from __future__ import annotations

import hashlib

from tdvfsh.engine.virtio.memory import Scattered
from tdvfsh.lazy_typing import Final

_BLOCK: Final = 64
_MOST: Final = 64 << 10


class EntropyDevice:
    """The device.

    Args:
        seed: What its bytes are made of.
    """

    kind = 4
    class_code = 0x00FF00
    name = "virtio rng"
    queues = 1
    features = 0

    def __init__(self, seed: bytes = b"tdvfsh") -> None:
        self._seed = seed
        self._blocks = 0

    def configuration(self) -> bytes:
        """None."""
        return b""

    def waits(self, queue: int) -> bool:
        """Never."""
        return False

    def serve(self, queue: int, readable: Scattered, writable: Scattered) -> int:
        """Fill the buffers, at most 64 KiB of them: the driver asks again."""
        wanted = min(writable.size, _MOST)
        while writable.done < wanted:
            block = hashlib.blake2b(self._blocks.to_bytes(8, "little"), key=self._seed, digest_size=_BLOCK).digest()
            self._blocks += 1
            writable.write(block[: wanted - writable.done])
        return wanted
