"""The network device.

Source: Virtual I/O Device (VIRTIO) 1.2, 5.1; QEMU hw/net/virtio-net.c.
"""

from __future__ import annotations

import time
from collections import Counter, deque

from tdvfsh.engine.virtio.device import Driver
from tdvfsh.engine.virtio.memory import Refused, Scattered
from tdvfsh.engine.virtio.network.packets import LARGEST_FRAME, refusal, refused_query
from tdvfsh.lazy_typing import Final, Protocol

RECEIVE, TRANSMIT = 0, 1
MOST_WAITING: Final = 256
_MAC_GIVEN: Final = 1 << 5
_MAC: Final = bytes.fromhex("525400123456")
_CONFIGURATION_SIZE: Final = 12
_HEADER_SIZE: Final = 12
_ONE_BUFFER: Final = bytes(10) + b"\1\0"
_LARGEST_REQUEST: Final = 1 << 16
_SECOND_NS: Final = 1_000_000_000
_SLICE_NS: Final = _SECOND_NS // 10


class Network(Protocol):
    """What the device is connected to."""

    frames: deque[bytes]
    """Frames for the guest that have arrived."""

    def send(self, frame: bytes) -> None:
        """A frame of the guest's."""
        ...

    def poll(self, seconds: float) -> bool:
        """Wait for the host, at most so long; returns whether there was anything to wait for."""
        ...


class NetworkDevice:
    """The device. Its state is its network's, which is the host's, too: a machine that has one cannot be saved.

    Args:
        network: What it is connected to.
        missing: Counts frames that were refused.

    Attributes:
        driver: The guest's driver; it is set when the device is plugged in.
    """

    kind = 1
    class_code = 0x020000
    name = "virtio network"
    queues = 2
    features = _MAC_GIVEN
    driver: Driver

    def __init__(self, network: Network, missing: Counter[str]) -> None:
        self._network = network
        self._missing = missing

    def configuration(self) -> bytes:
        """The address of the card."""
        return _MAC.ljust(_CONFIGURATION_SIZE, b"\0")

    # ---- the host -----------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """The guest runs: take what has arrived."""
        self._network.poll(0)
        self._deliver()

    def waits(self, queue: int) -> bool:
        """Buffers for frames wait for some."""
        return queue == RECEIVE and not self._network.frames

    def idle(self, now: int, until: int | None) -> int | None:
        """The guest waits until then, None for ever: wait for the host; returns when to look again, no later.

        Real time passes for the guest too then, but only while a connection is open.
        """
        longest = _SLICE_NS if until is None else min(_SLICE_NS, max(0, until - now))
        began = time.monotonic_ns()
        if not self._network.poll(longest / _SECOND_NS):
            return until
        arrived = bool(self._network.frames)
        self._deliver()
        return now + (min(longest, time.monotonic_ns() - began) if arrived else longest)

    def _deliver(self) -> None:
        frames = self._network.frames
        if not frames:
            return
        self.driver.arrived(RECEIVE)
        while len(frames) > MOST_WAITING:
            frames.popleft()
            self._missing[f"{self.name}: a frame for which there was no buffer"] += 1

    # ---- requests -----------------------------------------------------------------------------------------------

    def serve(self, queue: int, readable: Scattered, writable: Scattered) -> int:
        """Fill a buffer with a frame, or send one."""
        if queue == RECEIVE:
            frame = self._network.frames.popleft()
            if writable.size < _HEADER_SIZE + len(frame):
                raise Refused("a buffer that is too small for a frame")
            writable.write(_ONE_BUFFER + frame)
            return _HEADER_SIZE + len(frame)
        if not _HEADER_SIZE <= readable.size <= _LARGEST_REQUEST:
            raise Refused("a frame of an invalid size")
        frame = readable.read(_HEADER_SIZE + LARGEST_FRAME + 1)[_HEADER_SIZE:]
        why = refusal(frame)
        if why is None:
            self._network.send(frame)
            self._deliver()
        elif why:
            self._missing[f"{self.name}: {why}"] += 1
            answer = refused_query(frame)
            if answer is not None:
                self._network.frames.append(answer)
                self._deliver()
        return 0
