"""How an operating system starts the other vCPUs of a TD: firmware has them wait at a mailbox in memory.

They run with paging on, memory identity mapped, interrupts off, and jump where the mailbox says. Their tables stand in
firmware's runtime memory, which the system leaves alone and where there is room in every footprint: an allocation for
them would move everything that is allocated later.

Source: ACPI 6.5 5.2.12.19 (Multiprocessor Wakeup Mailbox); edk2 OvmfPkg/TdxDxe keeps it in ACPI NVS memory.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.board.vcpus import Vcpu
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.long_mode import enter_long_mode
from tdvfsh.engine.x86.paging import page_tables, page_tables_size
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import PAGE_SIZE

_MAILBOX: Final = struct.Struct("<HHIQ")
_COMMAND: Final = struct.Struct("<H")
_NOOP: Final = 0
_WAKEUP: Final = 1
_INTERRUPT_TABLE: Final = PAGE_SIZE // 2  # after the descriptor table, and as empty as it can be


def _end(ram: GuestRam) -> int:
    return max(ram.end, 1 << 32)


class Wakeup(NamedTuple):
    """Which vCPU is to begin, and where."""

    vcpu: Vcpu
    address: int


class WakeupMailbox:
    """The mailbox, and the tables of the vCPUs that wait at it.

    Args:
        ram: The machine's memory.
        address: Where both go: :meth:`size` bytes, whole pages.

    Attributes:
        address: Physical address of the mailbox.
    """

    def __init__(self, ram: GuestRam, address: int) -> None:
        self._ram = ram
        self.address = address
        end = _end(ram)
        self._tables = address + PAGE_SIZE
        self._descriptors = self._tables + page_tables_size(end)
        ram.write(address, bytes(PAGE_SIZE))
        ram.write(self._tables, page_tables(self._tables, end))

    @staticmethod
    def size(ram: GuestRam) -> int:
        """Bytes of memory that it takes."""
        return page_tables_size(_end(ram)) + 2 * PAGE_SIZE

    def asked(self, waiting: list[Vcpu]) -> Wakeup | None:
        """The command to wake up one that waits, which acknowledges it; a command for no vCPU stays."""
        data = self._ram.read_physical(self.address, _MAILBOX.size) if waiting else None
        if data is None:
            return None
        command, _, number, address = _MAILBOX.unpack(data)
        meant = next((vcpu for vcpu in waiting if vcpu.number == number), None)
        if command != _WAKEUP or meant is None:
            return None
        self._ram.write_physical(self.address, _COMMAND.pack(_NOOP))
        return Wakeup(meant, address)

    def begin(self, cpu: Cpu, address: int) -> bytes:
        """The state of a vCPU that begins at ``address``; the processor, new as after its reset, is left with it."""
        interrupts = self._descriptors + _INTERRUPT_TABLE
        enter_long_mode(cpu, self._ram, cr3=self._tables, gdt=self._descriptors, idt=interrupts, stack=0)
        cpu.write("IDTR", (0, interrupts, 0, 0))
        cpu.write("RIP", address)
        cpu.state.load()
        return cpu.state.image()
