"""A split virtqueue, read from the guest's memory with nothing in it believed.

Source: Virtual I/O Device (VIRTIO) 1.2, 2.6 and 2.7.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.virtio.memory import Buffer, DeviceMemory, Refused
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

LARGEST: Final = 256
_LONGEST_TABLE: Final = 1024
_LARGEST_REQUEST: Final = 1 << 32
_DESCRIPTOR: Final = struct.Struct("<QIHH")
_USED: Final = struct.Struct("<II")
_U16: Final = struct.Struct("<H")
_NEXT: Final = 1
_WRITE: Final = 2
_INDIRECT: Final = 4
_RING: Final = 4
_NO_INTERRUPT: Final = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One chain of descriptors.

    Attributes:
        head: Its first descriptor.
        readable: Buffers that the device reads.
        writable: Buffers that it writes.
    """

    head: int
    readable: tuple[Buffer, ...]
    writable: tuple[Buffer, ...]


class Virtqueue:
    """One queue of a device.

    Args:
        memory: The guest's memory.

    Attributes:
        size: Entries, a power of two.
        enabled: Whether the driver has set it up.
        vector: MSI-X entry of its interrupts.
        descriptors: Address of the descriptor table.
        driver: Address of the available ring.
        device: Address of the used ring.
        indirect: Whether the driver may use indirect tables.
        event_index: Whether both sides say at which entry they want to be told.
    """

    def __init__(self, memory: DeviceMemory) -> None:
        self._memory = memory
        self.reset()

    def reset(self) -> None:
        """As the driver finds it."""
        self.size = LARGEST
        self.enabled = False
        self.vector = 0xFFFF
        self.descriptors = self.driver = self.device = 0
        self.indirect = self.event_index = False
        self._next_available = 0
        self._used = 0
        self._signalled = 0

    def waiting(self) -> int:
        """How many requests the driver has made available.

        Raises:
            Refused: As :meth:`pop`.
        """
        index = self._u16(self.driver + 2, "the available ring")
        waiting = index - self._next_available & 0xFFFF
        if waiting > self.size:
            raise Refused("more requests than the queue has entries", self.driver)
        return waiting

    def pop(self) -> Request | None:
        """The next request, None where there is none.

        Raises:
            Refused: The rings or the chain are not as they must be, or not in memory that the device reaches.
        """
        if not self.waiting():
            return None
        place = self.driver + _RING + 2 * (self._next_available % self.size)
        head = self._u16(place, "the available ring")
        self._next_available = self._next_available + 1 & 0xFFFF
        return self._chain(head)

    def push(self, request: Request, written: int) -> None:
        """Return a request, of whose buffers ``written`` bytes were written."""
        place = self.device + _RING + _USED.size * (self._used % self.size)
        self._memory.write(place, _USED.pack(request.head, written), "the used ring")
        self._used = self._used + 1 & 0xFFFF
        self._memory.write(self.device + 2, _U16.pack(self._used), "the used ring")

    def wants_interrupt(self) -> bool:
        """Whether the driver wants to be told of what was returned since it was asked last; asks to be notified."""
        before, self._signalled = self._signalled, self._used
        if self.event_index:
            event = self.device + _RING + _USED.size * self.size
            self._memory.write(event, _U16.pack(self._next_available), "the used ring")
            wanted = self._u16(self.driver + _RING + 2 * self.size, "the available ring")
            return (self._used - wanted - 1 & 0xFFFF) < (self._used - before & 0xFFFF)
        return self._used != before and not self._u16(self.driver, "the available ring") & _NO_INTERRUPT

    def _u16(self, address: int, what: str) -> int:
        return int(_U16.unpack(self._memory.read(address, 2, what))[0])

    # ---- descriptors --------------------------------------------------------------------------------------------

    def _chain(self, head: int) -> Request:
        readable: list[Buffer] = []
        writable: list[Buffer] = []
        table, entries, number, total = self.descriptors, self.size, head, 0
        seen, is_indirect = 0, False
        while True:
            if number >= entries:
                raise Refused("a descriptor beyond its table", table)
            seen += 1
            if seen > entries:
                raise Refused("a chain of descriptors that is a loop", table)
            what = "an indirect descriptor table" if is_indirect else "the descriptor table"
            place = table + _DESCRIPTOR.size * number
            address, size, flags, following = _DESCRIPTOR.unpack(self._memory.read(place, _DESCRIPTOR.size, what))
            if flags & _INDIRECT:
                if is_indirect or flags & _NEXT or not self.indirect:
                    raise Refused("an indirect descriptor where there may be none", place)
                entries, rest = divmod(size, _DESCRIPTOR.size)
                if rest or not entries or entries > _LONGEST_TABLE:
                    raise Refused("an indirect descriptor table of an invalid size", address)
                table, number, seen, is_indirect = address, 0, 0, True
                continue
            if not size:
                raise Refused("an empty buffer", place)
            total += size
            if total > _LARGEST_REQUEST:
                raise Refused("a request of more than 4 GiB", place)
            self._memory.check(address, size, "a buffer")
            if flags & _WRITE:
                writable.append(Buffer(address, size))
            elif writable:
                raise Refused("a buffer to be read after one to be written", place)
            else:
                readable.append(Buffer(address, size))
            if not flags & _NEXT:
                return Request(head, tuple(readable), tuple(writable))
            number = following
