"""SYSCALL, which the emulator leaves to its user.

Source: Intel SDM volume 2, SYSCALL.
"""

from __future__ import annotations

from tdvfsh.engine.x86.processor_state import CS, LONG_CODE, PRIVILEGE, SS, ProcessorState, Segment
from tdvfsh.lazy_typing import Final

_RCX: Final = 1
_R11: Final = 11
_RESUME_FLAG: Final = 1 << 16
_CODE: Final = 0x00AF9B00
_STACK: Final = 0x00CF9300
_LIMIT: Final = 0xFFFFFFFF


def enter_system_call(state: ProcessorState, flags: int, star: int, entry: int, mask: int) -> None:
    """Change ``state``, whose RIP is after the instruction, to where the kernel begins.

    Args:
        state: The loaded state.
        flags: RFLAGS, whole.
        star: IA32_STAR.
        entry: IA32_LSTAR.
        mask: IA32_FMASK.
    """
    base = star >> 32 & 0xFFFF
    state.set_register(_RCX, state.instruction_pointer)
    state.set_register(_R11, flags & ~_RESUME_FLAG)
    state.instruction_pointer = entry
    state.system_flags = state.system_flags & ~mask & ~_RESUME_FLAG
    state.set_segment(CS, Segment(base & 0xFFFC, 0, _LIMIT, _CODE))
    state.set_segment(SS, Segment(base + 8 & 0xFFFF, 0, _LIMIT, _STACK))
    state.hidden_flags = state.hidden_flags & ~PRIVILEGE | LONG_CODE
