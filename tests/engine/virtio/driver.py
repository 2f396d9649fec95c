"""A driver for tests: it sets a device up through its PCI functions and puts requests into its queue."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence

from tdvfsh.engine.virtio.device import VirtioDevice
from tdvfsh.engine.virtio.pci_space import CONFIGURATION, ISR, NOTIFY, NOTIFY_MULTIPLIER
from tdvfsh.engine.virtio.transport import ACCESS_PLATFORM, VERSION_1, VirtioFunction

MEMORY = 1 << 20
NEXT_QUEUE = 0x200
TABLE, AVAILABLE, USED, INDIRECT, DATA = 0x1000, 0x2000, 0x3000, 0x4000, 0x10000
READ, WRITE, CHAINED, TABLE_FLAG = 0, 2, 1, 4
COMMAND, BUS_MASTER = 4, 0x6
DEVICE_STATUS = 20


class Memory:
    """A megabyte, of which a part may be private."""

    def __init__(self) -> None:
        self.data = bytearray(MEMORY)
        self.private = range(0)

    def refusal(self, address: int, size: int) -> str | None:
        if address < 0 or address + size > MEMORY:
            return "outside of RAM"
        private = self.private
        return "in private memory" if address < private.stop and private.start < address + size else None

    def read(self, address: int, size: int) -> bytes | None:
        return bytes(self.data[address : address + size])

    def write(self, address: int, data: bytes) -> bool:
        self.data[address : address + len(data)] = data
        return True


class Driver:
    """A device and its driver."""

    def __init__(self, device: VirtioDevice, missing: Counter[str] | None = None, is_td: bool = False) -> None:
        self.memory = Memory()
        self.missing: Counter[str] = Counter() if missing is None else missing
        self.messages: list[tuple[int, int]] = []
        self.pin: list[bool] = []
        self.function = VirtioFunction(
            device, 3, self.memory, self.missing, self._message, self.pin.append, access_platform=is_td
        )
        self.space = self.function.space
        self.must = VERSION_1 | (ACCESS_PLATFORM if is_td else 0)
        self.at = [0] * device.queues

    def _message(self, address: int, data: int) -> None:
        self.messages.append((address, data))

    # ---- registers ----------------------------------------------------------------------------------------------

    def common(self, offset: int, size: int, value: int | None = None) -> int:
        if value is None:
            return self.function.read(offset, size)
        self.function.write(offset, size, value)
        return value

    @property
    def status(self) -> int:
        return self.common(DEVICE_STATUS, 1)

    @property
    def offered(self) -> int:
        features = 0
        for select in (0, 1):
            self.common(0, 4, select)
            features |= self.common(4, 4) << 32 * select
        return features

    def accept(self, features: int) -> None:
        for select in (0, 1):
            self.common(8, 4, select)
            self.common(12, 4, features >> 32 * select & 0xFFFFFFFF)

    def start(self, features: int = 0, size: int = 8) -> Driver:
        """The whole initialization; the rings of each queue lie :data:`NEXT_QUEUE` bytes after those of the last."""
        self.space.write(COMMAND, 2, BUS_MASTER)
        self.common(DEVICE_STATUS, 1, 0)
        self.common(DEVICE_STATUS, 1, 3)
        self.accept(self.must | features)
        self.common(DEVICE_STATUS, 1, 11)
        assert self.status & 8
        for queue in range(len(self.at)):
            self.common(22, 2, queue)
            self.common(24, 2, size)
            for offset, address in ((32, TABLE), (40, AVAILABLE), (48, USED)):
                self.common(offset, 8, address + queue * NEXT_QUEUE)
            self.common(28, 2, 1)
        self.common(DEVICE_STATUS, 1, 15)
        self.size, self.at = size, [0] * len(self.at)
        return self

    def configuration(self, form: str, offset: int = 0) -> int:
        size = struct.calcsize(form)
        return self.function.read(CONFIGURATION + offset, size)

    def level(self) -> bool:
        """Whether the pin is up."""
        return self.pin[-1]

    def interrupt_status(self) -> int:
        return self.function.read(ISR, 1)

    # ---- requests -----------------------------------------------------------------------------------------------

    def describe(
        self, number: int, address: int, size: int, flags: int, following: int = 0, table: int = TABLE
    ) -> None:
        struct.pack_into("<QIHH", self.memory.data, table + 16 * number, address, size, flags, following)

    def chain(self, buffers: Sequence[tuple[int, int, int]], table: int = TABLE) -> None:
        """Descriptors from the first on: address, size and flags of each."""
        for number, (address, size, flags) in enumerate(buffers):
            more = CHAINED if number + 1 < len(buffers) else 0
            self.describe(number, address, size, flags | more, number + 1, table)

    def offer(self, head: int = 0, count: int = 1, queue: int = 0) -> None:
        """Make a chain available and notify."""
        ring = AVAILABLE + queue * NEXT_QUEUE
        for _ in range(count):
            struct.pack_into("<H", self.memory.data, ring + 4 + 2 * (self.at[queue] % self.size), head)
            self.at[queue] += 1
        self.set_available(self.at[queue], queue)

    def set_available(self, index: int, queue: int = 0) -> None:
        struct.pack_into("<H", self.memory.data, AVAILABLE + queue * NEXT_QUEUE + 2, index & 0xFFFF)
        self.function.write(NOTIFY + NOTIFY_MULTIPLIER * queue, 2, queue)

    @property
    def used(self) -> list[tuple[int, int]]:
        """What was returned of the first queue: head and bytes written."""
        return self.used_of(0)

    def used_of(self, queue: int) -> list[tuple[int, int]]:
        """What was returned of a queue."""
        data, ring = self.memory.data, USED + queue * NEXT_QUEUE
        count = struct.unpack_from("<H", data, ring + 2)[0]
        return [struct.unpack_from("<II", data, ring + 4 + 8 * (number % self.size)) for number in range(count)]

    def request(self, kind: int, sector: int, room: int, data: bytes = b"") -> tuple[int, bytes]:
        """A request of a block device; returns its status and what it read."""
        memory = self.memory.data
        struct.pack_into("<IIQ", memory, DATA, kind, 0, sector)
        memory[DATA + 0x1000 : DATA + 0x1000 + len(data)] = data
        memory[DATA + 0x800] = 0xEE
        buffers = [(DATA, 16, READ)]
        if data:
            buffers.append((DATA + 0x1000, len(data), READ))
        if room:
            buffers.append((DATA + 0x8000, room, WRITE))
        buffers.append((DATA + 0x800, 1, WRITE))
        self.chain(buffers)
        self.offer()
        return memory[DATA + 0x800], bytes(memory[DATA + 0x8000 : DATA + 0x8000 + room])
