"""SYSCALL: what Intel SDM volume 2 says it loads, and where."""

from __future__ import annotations

from typing import Any

import pytest

from tdvfsh.engine.x86.instructions.system_call import enter_system_call
from tdvfsh.engine.x86.processor_state import CS, LONG_CODE, SS, ProcessorState, Segment
from tests.engine.processor import CODE, STACK, bare_processor

x86: Any = pytest.importorskip("unicorn.x86_const", reason="the CPU engine is not installed: extra [cpu]")
RCX, R11 = 1, 11
ENTRY = 0xFFFFFFFF81000080
STAR = 0x0023_0010 << 32  # as Linux has it: kernel code 0x10, user base 0x23
CARRY, ZERO, TRAP, INTERRUPTS, DIRECTION, NESTED, ALIGNMENT = (1 << bit for bit in (0, 6, 8, 9, 10, 14, 18))
USER_FLAGS = CARRY | ZERO | INTERRUPTS | DIRECTION | ALIGNMENT | 2


def from_user_space(flags: int = USER_FLAGS, star: int = STAR, mask: int = 0) -> tuple[Any, ProcessorState]:
    uc, state = bare_processor()
    state.hidden_flags = state.hidden_flags | 3
    state.system_flags = flags
    state.set_segment(CS, Segment(0x33, 0, 0xFFFFFFFF, 0x00AFFB00))
    state.set_segment(SS, Segment(0x2B, 0, 0xFFFFFFFF, 0x00CFF300))
    state.instruction_pointer = 0x7F0000001002
    state.set_register(4, 0x7FFF0000)
    enter_system_call(state, flags, star, ENTRY, mask)
    return uc, state


def test_return_address_and_flags_are_in_rcx_and_r11_and_the_stack_stays() -> None:
    _, state = from_user_space()
    assert state.register(RCX) == 0x7F0000001002
    assert state.register(R11) == USER_FLAGS
    assert state.instruction_pointer == ENTRY
    assert state.register(4) == 0x7FFF0000


def test_segments_are_flat_64_bit_code_and_data_at_level_0() -> None:
    _, state = from_user_space()
    assert state.privilege == 0
    assert state.hidden_flags & LONG_CODE == LONG_CODE
    code, stack = state.segment(CS), state.segment(SS)
    assert (code.selector, code.base, code.limit) == (0x10, 0, 0xFFFFFFFF)
    assert (stack.selector, stack.base, stack.limit) == (0x18, 0, 0xFFFFFFFF)
    for segment, kind, size in ((code, 0xB, 0b1010), (stack, 0x3, 0b1100)):  # accessed code and data; G L, G B
        assert segment.flags >> 8 & 0xF == kind
        assert segment.flags >> 12 & 0xF == 0b1001  # present, level 0, no system segment
        assert segment.flags >> 20 & 0xF == size


@pytest.mark.parametrize(("base", "code", "stack"), [(0x10, 0x10, 0x18), (0x13, 0x10, 0x1B), (0x38, 0x38, 0x40)])
def test_selectors_are_those_of_star_the_code_s_without_its_level(base: int, code: int, stack: int) -> None:
    _, state = from_user_space(star=0x1B << 48 | base << 32 | 0xFFFFFFFF)
    assert (state.segment(CS).selector, state.segment(SS).selector) == (code, stack)


@pytest.mark.parametrize("mask", [0, INTERRUPTS, TRAP | INTERRUPTS | DIRECTION | NESTED | ALIGNMENT, 0x257FD5, ZERO])
def test_flags_that_the_mask_names_are_clear_and_the_others_stay(mask: int) -> None:
    uc, state = from_user_space(mask=mask)
    state.set_register(4, STACK)
    state.store()
    uc.mem_write(CODE, b"\x9c")  # pushfq
    uc.emu_start(CODE, CODE + 1)
    assert int.from_bytes(uc.mem_read(STACK - 8, 8), "little") == USER_FLAGS & ~mask | 2


def test_strings_run_upwards_behind_a_mask_with_the_direction_flag() -> None:
    uc, state = from_user_space(mask=DIRECTION)
    state.set_register(7, 0x2000)
    state.store()
    uc.mem_write(CODE, b"\xaa")  # stosb
    uc.emu_start(CODE, CODE + 1)
    assert uc.reg_read(x86.UC_X86_REG_RDI) == 0x2001
