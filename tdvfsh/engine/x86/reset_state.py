"""The state in which a vCPU begins firmware: as the TDX module starts it in a TD, or after a reset of a plain VM.

Source: Intel TDX module 1.5 base specification, "Initial State of TD Guest VCPUs"; Intel SDM volume 3, table 10-1.
"""

from __future__ import annotations

from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.processor_state import (
    CODE_64,
    CS,
    LONG_CODE,
    LONG_MODE,
    PROTECTED,
    ProcessorState,
    Segment,
)
from tdvfsh.lazy_typing import Final

RESET_VECTOR: Final = 0xFFFFFFF0
_RCX, _RBX, _RSI, _R8 = 1, 3, 6, 8
_GENERAL_REGISTERS: Final = 16
_SEGMENTS: Final = 6
_EFER_MSR: Final = 0xC0000080
_TD_CR0: Final = 0x21  # NE PE
_TD_CR4: Final = 0x40  # MCE
_TD_EFER: Final = 0x901  # NXE LME SCE
_FLAT_LIMIT: Final = 0xFFFFFFFF
_FLAT_CODE: Final = 0xC09B00
_FLAT_DATA: Final = 0xC09300
_TABLE_AFTER_RESET: Final = (0, 0, 0xFFFF, 0)
_CR0_AFTER_RESET: Final = 0x60000010  # CD NW ET
_LIMIT_AFTER_RESET: Final = 0xFFFF
_REAL_CODE: Final = 0x9B << 8
_REAL_DATA: Final = 0x93 << 8
_FIXED_FLAGS: Final = 2


def begin_in_td(cpu: Cpu, gpaw: int, td_hob: int, number: int) -> bytes:
    """The state of a TD's vCPU: 32-bit flat protected mode at the reset vector; the processor is left with it.

    Args:
        cpu: The processor.
        gpaw: Guest physical address width, in EBX.
        td_hob: Address of the TD HOB, in RCX and R8.
        number: The vCPU's index, in ESI.
    """
    state = _without_registers(cpu, _TD_CR0, _TD_CR4, _TD_EFER)
    for register, value in ((_RBX, gpaw), (_RCX, td_hob), (_R8, td_hob), (_RSI, number)):
        state.set_register(register, value)
    for segment in range(_SEGMENTS):
        state.set_segment(segment, Segment(0, 0, _FLAT_LIMIT, _FLAT_DATA))
    state.set_segment(CS, Segment(0, 0, _FLAT_LIMIT, _FLAT_CODE))
    state.hidden_flags = state.hidden_flags & ~(LONG_MODE | CODE_64 | 3) | LONG_CODE & ~CODE_64 | PROTECTED
    state.instruction_pointer = RESET_VECTOR
    return state.image()


def begin_after_reset(cpu: Cpu) -> bytes:
    """The state of a plain VM's first vCPU: real mode at the reset vector; the processor is left with it."""
    state = _without_registers(cpu, _CR0_AFTER_RESET, 0, 0)
    for segment in range(_SEGMENTS):
        state.set_segment(segment, Segment(0, 0, _LIMIT_AFTER_RESET, _REAL_DATA))
    state.set_segment(CS, Segment(0xF000, RESET_VECTOR & ~0xFFFF, _LIMIT_AFTER_RESET, _REAL_CODE))
    state.hidden_flags &= ~(LONG_MODE | LONG_CODE | PROTECTED | 3)
    state.instruction_pointer = RESET_VECTOR & 0xFFFF
    return state.image()


def _without_registers(cpu: Cpu, cr0: int, cr4: int, efer: int) -> ProcessorState:
    cpu.write("CR0", cr0)
    cpu.write("CR4", cr4)
    cpu.uc.msr_write(_EFER_MSR, efer)
    cpu.write("IDTR", _TABLE_AFTER_RESET)
    cpu.write("GDTR", _TABLE_AFTER_RESET)
    state = cpu.state
    state.load()
    for register in range(_GENERAL_REGISTERS):
        state.set_register(register, 0)
    state.system_flags = _FIXED_FLAGS
    return state
