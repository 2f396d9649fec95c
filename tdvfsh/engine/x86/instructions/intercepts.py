"""Instructions that leave the guest instead of being executed: the emulated processor's own virtualization.

Unicorn emulates AMD's intercepts, and its hook for interrupts is called with the exit that follows. That makes
exact stops before CPUID, HLT, PAUSE, RDMSR and WRMSR at no cost to other code. I/O instructions cannot be
intercepted there.

Source: AMD64 APM volume 2, 15.9 to 15.11, appendix B.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.x86.processor_state import ProcessorState
from tdvfsh.lazy_typing import Any, Final

CPUID: Final = 0x72
PAUSE: Final = 0x77
HLT: Final = 0x78
MSR: Final = 0x7C

_PREFIXES: Final = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3, *range(0x40, 0x50)))
_TWO_BYTES: Final = 0x0F
_FIRST: Final = 0x60
_IO_MAP_POINTER: Final = 0x40
_IO_MAP: Final = 0x1000
_MSR_MAP: Final = 0x4000
CONTROL_SIZE: Final = 0x8000
"""Bytes of the control block."""


def instruction_length(code: bytes) -> int:
    """Bytes of one of the intercepted instructions, none of which has operands, with its prefixes."""
    prefixes = next(number for number, byte in enumerate(code) if byte not in _PREFIXES)
    return prefixes + (2 if code[prefixes] == _TWO_BYTES else 1)


def set_intercepts(uc: Any, state: ProcessorState, where: int, codes: tuple[int, ...], msr_map: bytes) -> None:
    """Switch intercepts on.

    Args:
        uc: The emulator.
        state: Its state.
        where: Physical address beyond all RAM for the control block, 32 KiB.
        codes: Exit codes of the instructions.
        msr_map: The MSR permission map.
    """
    uc.mem_map(where, CONTROL_SIZE)
    uc.mem_write(where + _IO_MAP_POINTER, struct.pack("<QQ", where + _IO_MAP, where + _MSR_MAP))
    uc.mem_write(where + _MSR_MAP, msr_map)
    state.load()
    state.intercept(where, sum(1 << (code - _FIRST) for code in codes))
    state.store()
