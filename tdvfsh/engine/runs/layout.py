"""Where the firmware for guest code keeps what only real code needs: page tables, stack, heap, stubs."""

from __future__ import annotations

from tdvfsh.engine.abi.memory import FirmwareHeap, find_area
from tdvfsh.engine.abi.stubs import Stubs
from tdvfsh.engine.board.board import Board
from tdvfsh.engine.x86.long_mode import enter_long_mode
from tdvfsh.engine.x86.paging import IDT_SIZE, gibibyte_leaves, page_tables, page_tables_size
from tdvfsh.engine.x86.protected_paging import ROOM, ProtectedPaging
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.machine.machine import Machine
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import KIB, MIB, PAGE_SIZE, align_up

_STACK_SIZE: Final = 256 * KIB
_HEAP_SIZE: Final = 4 * MIB
_STUBS_SIZE: Final = 64 * KIB


@dataclass(frozen=True, slots=True)
class FirmwareLayout:
    """The firmware's own places in guest memory.

    Attributes:
        interrupt_table: Address of the interrupt table that programs run with.
        heap: Room for structures.
        stubs: Entry points of services, in runtime code.
        paging: Page tables that protect memory; None where nothing is protected.
    """

    interrupt_table: int
    heap: FirmwareHeap
    stubs: Stubs
    paging: ProtectedPaging | None


def lay_out(machine: Machine, board: Board) -> FirmwareLayout:
    """Find the places in the memory that the modelled firmware holds, fill them, and enter long mode on them.

    Raises:
        EngineError: The firmware has no room.
    """
    ram = board.ram
    end = max(ram.end, 1 << 32)
    tables = page_tables_size(end)
    protected = machine.services.core.protection.policy.enforced
    room = ROOM if protected else 0
    size = tables + room + 3 * PAGE_SIZE + _STACK_SIZE + _HEAP_SIZE
    start = find_area(machine, EfiMemoryType.EfiBootServicesData, size)
    ram.write(start, page_tables(start, end))
    paging = None
    if protected:
        leaves, count = gibibyte_leaves(start, end)
        paging = ProtectedPaging(ram.write_physical, board.cpu.forget_translations, leaves, count, start + tables)
    gdt = start + tables + room
    idt = gdt + PAGE_SIZE
    stack = align_up(idt + IDT_SIZE + 16, PAGE_SIZE)
    enter_long_mode(board.cpu, ram, cr3=start, gdt=gdt, idt=idt, stack=stack + _STACK_SIZE - PAGE_SIZE)
    stubs = find_area(machine, EfiMemoryType.EfiRuntimeServicesCode, _STUBS_SIZE)
    return FirmwareLayout(idt, FirmwareHeap(stack + _STACK_SIZE, start + size), Stubs(ram, stubs, _STUBS_SIZE), paging)
