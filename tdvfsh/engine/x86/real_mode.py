"""How a vCPU of a plain VM begins: in real mode, at the page that a start-up message names.

Source: Intel SDM volume 3, 8.4.4 (start-up), 9.1.4 (state after INIT), table 9-1.
"""

from __future__ import annotations

from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.processor_state import CS, LONG_CODE, PROTECTED, Segment
from tdvfsh.lazy_typing import Final
from tdvfsh.units import PAGE_SIZE

_CR0: Final = 0x60000010  # CD NW ET
_EFER_MSR: Final = 0xC0000080
_LIMIT: Final = 0xFFFF
_CODE: Final = 0x9B << 8
_DATA: Final = 0x93 << 8
_SEGMENTS: Final = 6
_GENERAL_REGISTERS: Final = 16
_INTERRUPT_TABLE: Final = (0, 0, 0x3FF, 0)


def begin_in_real_mode(cpu: Cpu, page: int) -> bytes:
    """The state of a vCPU that begins at a page below 1 MiB; the processor is left with it."""
    state = cpu.state
    cpu.write("CR0", _CR0)
    cpu.write("CR4", 0)
    cpu.uc.msr_write(_EFER_MSR, 0)
    cpu.write("IDTR", _INTERRUPT_TABLE)
    state.load()
    for number in range(_GENERAL_REGISTERS):
        state.set_register(number, 0)
    for number in range(_SEGMENTS):
        state.set_segment(number, Segment(0, 0, _LIMIT, _DATA))
    start = page * PAGE_SIZE
    state.set_segment(CS, Segment(start >> 4, start, _LIMIT, _CODE))
    state.hidden_flags &= ~(LONG_CODE | PROTECTED)
    state.system_flags = 2
    state.instruction_pointer = 0
    return state.image()
