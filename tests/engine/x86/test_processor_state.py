"""The whole state of the emulated processor, beside what its register interface says."""

from __future__ import annotations

from typing import Any

import pytest

from tdvfsh.engine.x86.processor_state import CS, INTERCEPTING, LONG_CODE, SS, ProcessorState, Segment
from tdvfsh.errors import HostError
from tests.engine.processor import CODE, STACK, bare_processor

x86: Any = pytest.importorskip("unicorn.x86_const", reason="the CPU engine is not installed: extra [cpu]")
NUMBERED = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{number}" for number in range(8, 16)))


def number(name: str) -> int:
    return int(getattr(x86, f"UC_X86_REG_{name}"))


def test_registers_are_numbered_as_instructions_number_them() -> None:
    uc, state = bare_processor()
    for at, name in enumerate(NUMBERED):
        uc.reg_write(number(name), 0x1000 + at)
    assert state.register(3) == 0
    state.load()
    assert [state.register(at) for at in range(16)] == [0x1000 + at for at in range(16)]
    assert state.registers() == tuple(0x1000 + at for at in range(16))


def test_what_is_set_comes_back_only_when_it_is_stored() -> None:
    uc, state = bare_processor()
    state.set_register(9, -1)
    state.instruction_pointer = 1 << 64 | 0xFFFF800000001234
    assert uc.reg_read(number("R9")) == 0
    state.store()
    assert uc.reg_read(number("R9")) == (1 << 64) - 1
    assert uc.reg_read(number("RIP")) == 0xFFFF800000001234


def test_making_one_changes_no_register() -> None:
    uc, _ = bare_processor()
    for name in ("R9", "DR0", "CR2"):
        uc.reg_write(number(name), 0x1234)
    ProcessorState(uc)
    assert [uc.reg_read(number(name)) for name in ("R9", "DR0", "CR2")] == [0x1234] * 3


def test_table_and_control_registers_are_the_processor_s() -> None:
    uc, state = bare_processor()
    uc.reg_write(number("GDTR"), (0, 0x2000, 0x3F, 0))
    uc.reg_write(number("IDTR"), (0, 0x3000, 0xFFF, 0))
    uc.reg_write(number("CR2"), 0xDEADBEEF)
    uc.reg_write(number("CR4"), 0x640)
    state.load()
    assert (state.descriptor_table.base, state.descriptor_table.limit) == (0x2000, 0x3F)
    assert (state.interrupt_table.base, state.interrupt_table.limit) == (0x3000, 0xFFF)
    assert (state.control(2), state.control(4)) == (0xDEADBEEF, 0x640)


def test_segments_have_a_hidden_part() -> None:
    uc, state = bare_processor()
    code = Segment(0x10, 0, 0xFFFFFFFF, 0x00AF9B00)
    state.set_segment(CS, code)
    state.set_segment(SS, Segment(0x18, 0, 0xFFFFFFFF, 0x00CF9300))
    state.store()
    assert (uc.reg_read(number("CS")), uc.reg_read(number("SS"))) == (0x10, 0x18)
    state.load()
    assert state.segment(CS) == code


@pytest.mark.parametrize("flags", [0x8D5, 0, 0x41, 0x400, 0x246, 0x3202, 0xCD7])
def test_flags_are_those_that_code_left_and_that_code_finds(flags: int) -> None:
    uc, state = bare_processor()
    uc.mem_write(CODE, bytes.fromhex("31c0 f9 fd 9c"))  # xor eax, eax; stc; std; pushfq
    uc.reg_write(number("RSP"), STACK)
    uc.emu_start(CODE, CODE + 4)
    state.load()
    assert state.system_flags & 0xCD5 == 0x445  # carry, parity, zero, direction
    state.system_flags = flags | 2
    state.store()
    uc.emu_start(CODE + 4, CODE + 5)
    assert int.from_bytes(uc.mem_read(STACK - 8, 8), "little") == flags | 2


def test_a_changed_privilege_level_is_the_one_that_code_runs_at() -> None:
    uc, state = bare_processor()
    uc.mem_write(CODE, bytes.fromhex("0f20c0"))  # mov rax, cr0: for level 0 only
    numbers: list[int] = []

    def interrupt(engine: Any, vector: int, data: object) -> None:
        numbers.append(vector)
        engine.emu_stop()

    unicorn: Any = pytest.importorskip("unicorn")
    uc.hook_add(unicorn.UC_HOOK_INTR, interrupt)
    for level in (3, 0):
        state.load()
        state.hidden_flags = state.hidden_flags & ~3 | level | LONG_CODE
        state.exception_delivered()
        state.store()
        state.load()
        assert state.privilege == level
        uc.emu_start(CODE, CODE + 3)
    assert numbers == [13]


def test_intercepts_are_on_for_as_long_as_the_mask_is_not_empty() -> None:
    _, state = bare_processor()
    assert not state.hidden_flags & INTERCEPTING
    state.intercept(0x4000, 1 << 18)
    assert state.hidden_flags & INTERCEPTING
    state.intercept(0x4000, 0)
    assert not state.hidden_flags & INTERCEPTING


def test_an_emulator_that_lays_its_state_out_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    uc, _ = bare_processor()
    monkeypatch.setattr("tdvfsh.engine.x86.processor_state._INSTRUCTION_POINTER", 40)
    with pytest.raises(HostError, match=r"2\.1\.4"):
        ProcessorState(uc)
