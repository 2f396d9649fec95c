"""Guest memory as a virtio device reaches it: what it may not reach is refused by name."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.lazy_typing import Final, NamedTuple, Protocol

_PIECE: Final = 1 << 20


class Refused(Exception):
    """The guest's request is refused, and the device stops until it is reset.

    Args:
        what: What is refused and why, without an address.
        address: Where, or None.
    """

    def __init__(self, what: str, address: int | None = None) -> None:
        self.what = what
        self.address = address
        super().__init__(what if address is None else f"{what} at {address:#x}")


class Dma(Protocol):
    """Memory by guest physical address."""

    def refusal(self, address: int, size: int) -> str | None:
        """Why a device cannot reach ``size`` bytes; None where it can."""
        ...

    def read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes."""
        ...

    def write(self, address: int, data: bytes) -> bool:
        """Store bytes."""
        ...


class DeviceMemory:
    """Checked access.

    Args:
        dma: The memory.
    """

    def __init__(self, dma: Dma) -> None:
        self._dma = dma

    def check(self, address: int, size: int, what: str) -> None:
        """Raise Refused where ``size`` bytes cannot be reached; ``what`` names them."""
        why = self._dma.refusal(address, size)
        if why is not None:
            raise Refused(f"{what} {why}", address)

    def read(self, address: int, size: int, what: str) -> bytes:
        """``size`` bytes; raises Refused."""
        self.check(address, size, what)
        data = self._dma.read(address, size)
        assert data is not None
        return data

    def write(self, address: int, data: bytes, what: str) -> None:
        """Store bytes; raises Refused."""
        self.check(address, len(data), what)
        self._dma.write(address, data)


class Buffer(NamedTuple):
    """A buffer of the guest: address and size in bytes."""

    address: int
    size: int


class Scattered:
    """Several buffers as one, read or written from the beginning to the end in pieces.

    Args:
        memory: Where they are.
        buffers: The buffers, in order.

    Attributes:
        size: Bytes of all.
        done: Bytes that were read or written.
    """

    def __init__(self, memory: DeviceMemory, buffers: Sequence[Buffer]) -> None:
        self._memory = memory
        self._left = list(reversed(buffers))
        self.size = sum(buffer.size for buffer in buffers)
        self.done = 0

    @property
    def left(self) -> int:
        """Bytes that were not read or written yet."""
        return self.size - self.done

    def read(self, size: int) -> bytes:
        """The next bytes: ``size``, or all that are left."""
        parts = []
        while size and self._left:
            buffer = self._take(size)
            parts.append(self._memory.read(buffer.address, buffer.size, "a buffer"))
            size -= buffer.size
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Store the next bytes, as far as there is room."""
        at = 0
        while at < len(data) and self._left:
            buffer = self._take(len(data) - at)
            self._memory.write(buffer.address, data[at : at + buffer.size], "a buffer")
            at += buffer.size

    def skip(self, size: int) -> None:
        """Leave the next bytes as they are."""
        while size > 0 and self._left:
            size -= self._take(size).size

    def _take(self, size: int) -> Buffer:
        """The next piece of one buffer."""
        buffer = self._left.pop()
        size = min(size, buffer.size, _PIECE)
        if size < buffer.size:
            self._left.append(Buffer(buffer.address + size, buffer.size - size))
        self.done += size
        return Buffer(buffer.address, size)
