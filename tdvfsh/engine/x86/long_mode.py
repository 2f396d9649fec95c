"""A processor enters long mode, in the state in which firmware hands it over."""

from __future__ import annotations

from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.paging import CODE_SELECTOR, CR0, CR4, DATA_SELECTOR, EFER, EFER_MSR, GDT, IDT_SIZE
from tdvfsh.engine.x86.ram import GuestRam


def enter_long_mode(cpu: Cpu, ram: GuestRam, *, cr3: int, gdt: int, idt: int, stack: int) -> None:
    """Set the control registers as firmware leaves them; page tables must stand in RAM already.

    Args:
        cpu: The processor.
        ram: What it sees.
        cr3: Address of the top page table.
        gdt: Where the descriptor table goes.
        idt: Where the empty interrupt table is.
        stack: Top of the stack.
    """
    ram.view[gdt : gdt + len(GDT)] = GDT
    cpu.write("GDTR", (0, gdt, len(GDT) - 1, 0))
    cpu.write("IDTR", (0, idt, IDT_SIZE - 1, 0))
    cpu.write("CR3", cr3)
    cpu.write("CR4", CR4)
    cpu.uc.msr_write(EFER_MSR, EFER)
    cpu.write("CR0", CR0)
    cpu.write("CS", CODE_SELECTOR)
    for name in ("DS", "ES", "SS", "FS", "GS"):
        cpu.write(name, DATA_SELECTOR)
    cpu.write("RSP", stack)
