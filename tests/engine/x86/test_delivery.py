"""Exceptions through an interrupt table, as Intel SDM volume 3, 6.14 and 8.7, has them in 64-bit mode."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tdvfsh.engine.x86.delivery import LinearMemory, deliver
from tdvfsh.engine.x86.processor_state import CS, LONG_CODE, SS, ProcessorState, Segment
from tests.engine.processor import SIZE, STACK, bare_processor

x86: Any = pytest.importorskip("unicorn.x86_const", reason="the CPU engine is not installed: extra [cpu]")
GDT, IDT, TSS = 0x2000, 0x3000, 0x5000
RSP0, IST1, IST7 = 0xA000, 0xB008, 0xC000
HANDLER = 0xFFFFFFFF_81234568
INTERRUPTED = 0xFFFFFFFF_81000123
KERNEL_CODE, KERNEL_DATA, USER_DATA, USER_CODE = 0x10, 0x18, 0x2B, 0x33
INTERRUPT_GATE, TRAP_GATE = 0x8E, 0x8F
TRAP, INTERRUPTS, NESTED, RESUME = 1 << 8, 1 << 9, 1 << 14, 1 << 16
FLAGS = 0x2 | 0x41 | INTERRUPTS | NESTED | TRAP
DESCRIPTORS = (0, 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF, 0x00AFFB000000FFFF, 0x00CFF3000000FFFF,
               0x00AFFB000000FFFF, 0x00CF9B000000FFFF, 0x00AF1B000000FFFF, 0x00AF9F000000FFFF)  # fmt: skip
LEGACY_CODE, ABSENT_CODE, CONFORMING_CODE = 0x38, 0x40, 0x48


class Guest:
    """A processor with tables, at level 0 or 3."""

    def __init__(self, level: int = 0, stack: int = STACK) -> None:
        self.uc, self.state = bare_processor()
        uc = self.uc
        uc.mem_write(GDT, struct.pack(f"<{len(DESCRIPTORS)}Q", *DESCRIPTORS))
        uc.mem_write(TSS, struct.pack("<4xQ16x8xQ40xQ", RSP0, IST1, IST7))
        uc.reg_write(x86.UC_X86_REG_GDTR, (0, GDT, 8 * len(DESCRIPTORS) - 1, 0))
        uc.reg_write(x86.UC_X86_REG_IDTR, (0, IDT, 0xFFF, 0))
        uc.reg_write(x86.UC_X86_REG_TR, (0x40, TSS, 0x67, 0x8B00))
        state = self.state
        state.load()
        state.hidden_flags = state.hidden_flags & ~3 | level | LONG_CODE
        code, data = (KERNEL_CODE, KERNEL_DATA) if level == 0 else (USER_CODE, USER_DATA)
        state.set_segment(CS, Segment(code, 0, 0xFFFFFFFF, 0x00AF9B00 | level << 13))
        state.set_segment(SS, Segment(data, 0, 0xFFFFFFFF, 0x00CF9300 | level << 13))
        state.set_register(4, stack)
        state.instruction_pointer = INTERRUPTED
        state.system_flags = FLAGS
        self.old_stack = Segment(data, 0, 0xFFFFFFFF, 0x00CF9300 | level << 13)
        self.memory = LinearMemory(self._read, self._write)

    def _read(self, address: int, size: int) -> bytes | None:
        return bytes(self.uc.mem_read(address, size)) if address + size <= SIZE else None

    def _write(self, address: int, data: bytes) -> bool:
        if not 0 <= address <= SIZE - len(data):
            return False
        self.uc.mem_write(address, data)
        return True

    def gate(self, vector: int, kind: int = INTERRUPT_GATE, stack: int = 0, selector: int = KERNEL_CODE) -> Guest:
        low, middle, high = HANDLER & 0xFFFF, HANDLER >> 16 & 0xFFFF, HANDLER >> 32
        self.uc.mem_write(IDT + 16 * vector, struct.pack("<HHBBHII", low, selector, stack, kind, middle, high, 0))
        return self

    def deliver(self, vector: int, error_code: int | None = None) -> bool:
        return deliver(self.state, self.memory, FLAGS, vector, error_code)

    def frame(self, words: int) -> list[int]:
        return list(struct.unpack(f"<{words}Q", self.uc.mem_read(self.state.register(4), 8 * words)))


def snapshot(state: ProcessorState) -> tuple[object, ...]:
    return (
        state.registers(), state.instruction_pointer, state.system_flags, state.hidden_flags, state.segment(CS),
        state.segment(SS),
    )  # fmt: skip


def test_at_level_0_the_frame_is_pushed_below_the_interrupted_stack() -> None:
    guest = Guest().gate(6)
    assert guest.deliver(6)
    assert guest.state.instruction_pointer == HANDLER
    assert guest.state.register(4) == STACK - 40
    assert guest.frame(5) == [INTERRUPTED, KERNEL_CODE, FLAGS, STACK, KERNEL_DATA]
    assert guest.state.segment(SS) == guest.old_stack


def test_an_error_code_lies_before_the_frame() -> None:
    guest = Guest().gate(14)
    assert guest.deliver(14, 0x15)
    assert guest.state.register(4) == STACK - 48
    assert guest.frame(6) == [0x15, INTERRUPTED, KERNEL_CODE, FLAGS, STACK, KERNEL_DATA]


@pytest.mark.parametrize("stack", [STACK + offset for offset in (1, 8, 15)])
def test_the_stack_is_aligned_to_16_bytes_before_the_frame_and_named_in_it_as_it_was(stack: int) -> None:
    guest = Guest(stack=stack).gate(6)
    assert guest.deliver(6)
    assert guest.state.register(4) == STACK - 40
    assert guest.frame(5)[3] == stack


def test_from_user_space_the_stack_is_rsp0_of_the_task_and_ss_is_null() -> None:
    guest = Guest(level=3).gate(14)
    assert guest.deliver(14, 4)
    state = guest.state
    assert state.privilege == 0
    assert state.register(4) == RSP0 - 48
    assert guest.frame(6) == [4, INTERRUPTED, USER_CODE, FLAGS, STACK, USER_DATA]
    assert state.segment(SS).selector == 0
    assert state.segment(CS).selector == KERNEL_CODE


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize(("index", "top"), [(1, IST1 - 8), (7, IST7)])
def test_a_gate_with_a_stack_of_its_own_switches_whatever_the_level(level: int, index: int, top: int) -> None:
    guest = Guest(level).gate(8, stack=index)
    assert guest.deliver(8, 0)
    assert guest.state.register(4) == top - 48
    assert guest.frame(6)[4] == STACK


@pytest.mark.parametrize(("kind", "left"), [(INTERRUPT_GATE, 0), (TRAP_GATE, INTERRUPTS)])
@pytest.mark.parametrize("level", [0, 3])
def test_only_an_interrupt_gate_turns_interrupts_off(kind: int, left: int, level: int) -> None:
    guest = Guest(level).gate(3, kind)
    assert guest.deliver(3)
    assert guest.state.system_flags & INTERRUPTS == left


@pytest.mark.parametrize("kind", [INTERRUPT_GATE, TRAP_GATE])
def test_single_step_nested_task_and_resume_flags_are_clear_in_the_handler_others_stay(kind: int) -> None:
    guest = Guest().gate(1, kind)
    guest.state.system_flags = FLAGS | RESUME
    assert guest.deliver(1)
    cleared = TRAP | NESTED | RESUME | (INTERRUPTS if kind == INTERRUPT_GATE else 0)
    assert guest.state.system_flags == FLAGS & ~cleared


def test_code_is_the_gate_s_descriptor_with_the_new_level() -> None:
    guest = Guest(level=3).gate(6, selector=KERNEL_CODE | 3)
    assert guest.deliver(6)
    code = guest.state.segment(CS)
    assert (code.selector, code.base, code.limit) == (KERNEL_CODE, 0, 0xFFFFFFFF)
    assert code.flags & 0xF0FF00 == 0xA09B00
    assert guest.state.hidden_flags & LONG_CODE == LONG_CODE


def test_conforming_code_keeps_the_level_and_the_stack() -> None:
    guest = Guest(level=3).gate(6, selector=CONFORMING_CODE)
    assert guest.deliver(6)
    assert (guest.state.privilege, guest.state.segment(CS).selector) == (3, CONFORMING_CODE | 3)
    assert guest.state.register(4) == STACK - 40


def test_a_gate_s_own_level_does_not_count_for_exceptions() -> None:
    assert Guest(level=3).gate(3, TRAP_GATE | 0x60).deliver(3)
    assert Guest(level=3).gate(3, TRAP_GATE).deliver(3)


@pytest.mark.parametrize(
    ("kind", "selector"),
    [
        (0x0E, KERNEL_CODE),  # not present
        (0x85, KERNEL_CODE),  # a task gate: there are none in 64-bit mode
        (0x8C, KERNEL_CODE),  # a call gate
        (0x9E, KERNEL_CODE),
        (INTERRUPT_GATE, 0),
        (INTERRUPT_GATE, KERNEL_DATA),
        (INTERRUPT_GATE, USER_CODE),  # less privileged than who is interrupted
        (INTERRUPT_GATE, LEGACY_CODE),
        (INTERRUPT_GATE, ABSENT_CODE),
        (INTERRUPT_GATE, KERNEL_CODE | 4),  # of the local table
        (INTERRUPT_GATE, 8 * len(DESCRIPTORS)),  # beyond the table
    ],
)
def test_a_gate_that_is_none_is_refused_and_nothing_changes(kind: int, selector: int) -> None:
    guest = Guest().gate(6, kind, selector=selector)
    before = snapshot(guest.state)
    assert not guest.deliver(6)
    assert snapshot(guest.state) == before


def test_a_vector_beyond_the_table_has_no_gate() -> None:
    guest = Guest().gate(32)
    guest.uc.reg_write(x86.UC_X86_REG_IDTR, (0, IDT, 32 * 16 + 14, 0))
    pointer = guest.state.instruction_pointer
    guest.state.load()
    guest.state.instruction_pointer = pointer
    assert not guest.deliver(32)


@pytest.mark.parametrize("stack", [SIZE + 0x1000, 16])
def test_without_room_for_the_frame_nothing_changes(stack: int) -> None:
    guest = Guest(stack=stack).gate(6)
    before = snapshot(guest.state)
    assert not guest.deliver(6)
    assert snapshot(guest.state) == before


def test_a_handler_that_returns_is_back_where_it_was() -> None:
    guest = Guest(level=3).gate(6)
    state, uc = guest.state, guest.uc
    handler = 0x1000
    uc.mem_write(handler, bytes.fromhex("48cf"))  # iretq
    state.instruction_pointer = 0x1800
    uc.mem_write(IDT + 6 * 16, struct.pack("<HHBBHII", handler, KERNEL_CODE, 0, INTERRUPT_GATE, 0, 0, 0))
    assert deliver(state, guest.memory, FLAGS & ~TRAP & ~NESTED, 6)
    state.store()
    uc.emu_start(handler, 0x1800)
    state.load()
    assert (state.instruction_pointer, state.privilege, state.register(4)) == (0x1800, 3, STACK)
    assert (state.segment(CS).selector, state.segment(SS).selector) == (USER_CODE, USER_DATA)
