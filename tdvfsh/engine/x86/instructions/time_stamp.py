"""RDTSC and RDTSCP, which read the virtual clock.

Unicorn has hooks for them that its Python binding does not list.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.lazy_typing import Any, Final

CYCLES_PER_NANOSECOND: Final = 2
"""The time stamp counter runs at 2 GHz of virtual time."""
_TSC_AUX: Final = 0xC0000103


def hook_time_stamp(
    uc: Any, clock: Callable[[], int], write_general: Callable[[int, int], None], was_read: Callable[[], None]
) -> list[object]:
    """Let both instructions read the virtual clock.

    Args:
        uc: The emulator.
        clock: Virtual nanoseconds.
        write_general: Sets a general register by the emulator's number for it.
        was_read: Called after each of them; it may end the run.

    Returns:
        What has to live as long as the emulator does.
    """
    unicorn: Any = cpu_extra("unicorn")
    registers: Any = cpu_extra("unicorn.x86_const")
    intel: Any = cpu_extra("unicorn.unicorn_py3.arch.intel")

    def time_stamp(handle: object, key: object) -> int:
        cycles = clock() * CYCLES_PER_NANOSECOND
        write_general(registers.UC_X86_REG_RAX, cycles & 0xFFFFFFFF)
        write_general(registers.UC_X86_REG_RDX, cycles >> 32 & 0xFFFFFFFF)
        was_read()
        return 1

    def time_stamp_and_processor(handle: object, key: object) -> int:
        uc.reg_write(registers.UC_X86_REG_RCX, uc.msr_read(_TSC_AUX))
        return time_stamp(handle, key)

    callbacks: list[object] = []
    for function, number in (
        (time_stamp, registers.UC_X86_INS_RDTSC),
        (time_stamp_and_processor, registers.UC_X86_INS_RDTSCP),
    ):
        callback = intel.HOOK_INSN_CPUID_CFUNC(function)
        callbacks.append(callback)
        uc._Uc__do_hook_add(unicorn.UC_HOOK_INSN, callback, 1, 0, ctypes.c_int(number))
    return callbacks
