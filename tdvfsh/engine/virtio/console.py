"""The console device, with one port: Linux's hvc0.

Source: Virtual I/O Device (VIRTIO) 1.2, 5.3; QEMU hw/char/virtio-serial-bus.c.
"""

from __future__ import annotations

from tdvfsh.engine.virtio.device import Driver
from tdvfsh.engine.virtio.memory import Refused, Scattered
from tdvfsh.lazy_typing import Final, Protocol

RECEIVE, TRANSMIT = 0, 1
MOST_WAITING: Final = 4096  # as much as a terminal's own queue
LARGEST_OUTPUT: Final = 64 << 10  # Linux sends 32 KiB at most
_PIECE: Final = 4096
_CONFIGURATION_SIZE: Final = 12


class ConsoleOutput(Protocol):
    """Where a console's output goes."""

    @property
    def last_line(self) -> str:
        """The last line, for reports of how far a run has come."""
        ...

    def put(self, byte: int) -> None:
        """One byte. Raises what ends the run."""
        ...


class ConsoleDevice:
    """The device. Its state is what has arrived and was not delivered yet.

    Args:
        output: Takes each byte that the guest sends.

    Attributes:
        driver: The guest's driver; it is set when the device is plugged in.
    """

    kind = 3
    class_code = 0x078000
    name = "virtio console"
    queues = 2
    features = 0
    driver: Driver

    def __init__(self, output: ConsoleOutput) -> None:
        self._output = output
        self._received = bytearray()

    def configuration(self) -> bytes:
        """Without a size and with one port, all of it is unused."""
        return bytes(_CONFIGURATION_SIZE)

    # ---- the other end ------------------------------------------------------------------------------------------

    @property
    def listening(self) -> bool:
        """Whether a driver has given buffers for input, or has used all of them and will give more."""
        return bool(self._received) or self.driver.has_buffers(RECEIVE)

    @property
    def full(self) -> bool:
        """Whether the other end has to wait before it sends more."""
        return len(self._received) >= MOST_WAITING

    def receive(self, data: bytes) -> None:
        """Bytes arrive from the other end, which has a queue of its own: none is lost."""
        self._received += data
        self.driver.arrived(RECEIVE)

    # ---- requests -----------------------------------------------------------------------------------------------

    def waits(self, queue: int) -> bool:
        """Buffers for input wait for some."""
        return queue == RECEIVE and not self._received

    def serve(self, queue: int, readable: Scattered, writable: Scattered) -> int:
        """Fill a buffer with input, or send what is in one."""
        if queue == RECEIVE:
            data = bytes(self._received[: writable.size])
            del self._received[: len(data)]
            writable.write(data)
            return len(data)
        if readable.size > LARGEST_OUTPUT:
            raise Refused("output of more than 64 KiB in one request")
        while readable.left:
            for byte in readable.read(_PIECE):
                self._output.put(byte)
        return 0
