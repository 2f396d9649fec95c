"""Instructions that exit: as AMD64 APM volume 2, 15.9 to 15.11 and appendices B and C, number them."""

from __future__ import annotations

from typing import Any

import pytest

from tdvfsh.engine.tdx.msrs import permission_map
from tdvfsh.engine.x86.instructions import intercepts
from tdvfsh.engine.x86.processor_state import ProcessorState
from tests.engine.processor import CODE, STACK, bare_processor

x86: Any = pytest.importorskip("unicorn.x86_const", reason="the CPU engine is not installed: extra [cpu]")
CONTROL_BLOCK = 1 << 39
EXIT = 0x100  # the emulator's number of an exit is this far above its code


def exits(code: str, codes: tuple[int, ...], rcx: int = 0, rax: int = 0) -> tuple[list[int], int, ProcessorState]:
    """Numbers of the exits that ``code`` takes, how far it came, and the state then."""
    unicorn: Any = pytest.importorskip("unicorn")
    uc, state = bare_processor()
    numbers: list[int] = []

    def interrupt(engine: Any, number: int, data: object) -> None:
        numbers.append(number - EXIT)
        engine.emu_stop()

    uc.hook_add(unicorn.UC_HOOK_INTR, interrupt)
    program = bytes.fromhex(code)
    uc.mem_write(CODE, program)
    for name, value in (("RCX", rcx), ("RAX", rax), ("RDX", 0), ("RSP", STACK)):
        uc.reg_write(getattr(x86, f"UC_X86_REG_{name}"), value)
    intercepts.set_intercepts(uc, state, CONTROL_BLOCK, codes, permission_map())
    uc.emu_start(CODE, CODE + len(program))
    state.load()
    return numbers, state.instruction_pointer - CODE, state


@pytest.mark.parametrize(
    ("code", "number", "prefix"),
    [
        ("90 0fa2", 0x72, 1),
        ("90 f390", 0x77, 1),
        ("90 f4", 0x78, 1),
        ("90 0f32", 0x7C, 1),
        ("90 0f30", 0x7C, 1),
    ],
)
def test_an_intercepted_instruction_exits_before_it_runs(code: str, number: int, prefix: int) -> None:
    codes = (intercepts.CPUID, intercepts.PAUSE, intercepts.HLT, intercepts.MSR)
    assert codes == (0x72, 0x77, 0x78, 0x7C)
    numbers, at, state = exits(code, codes, rcx=0x1B)
    assert (numbers, at) == ([number], prefix)
    if number == 0x7C:
        assert state.error_code == (code == "90 0f30")  # EXITINFO1: 0 reads, 1 writes


@pytest.mark.parametrize("left", [intercepts.CPUID, intercepts.PAUSE])
def test_what_is_not_asked_for_runs(left: int) -> None:
    codes = tuple(each for each in (intercepts.CPUID, intercepts.PAUSE, intercepts.MSR) if each != left)
    code = {intercepts.CPUID: "0fa2 90", intercepts.PAUSE: "f390 90"}[left]
    numbers, at, _ = exits(code, codes)
    assert (numbers, at) == ([], len(bytes.fromhex(code)))


@pytest.mark.parametrize(
    ("code", "exits_there"),
    [("0f32", False), ("0f30", True)],
)
def test_system_call_registers_exit_when_written_and_not_when_read(code: str, exits_there: bool) -> None:
    for number in (0xC0000081, 0xC0000082, 0xC0000084):
        assert bool(exits(code, (intercepts.MSR,), rcx=number)[0]) is exits_there


def test_registers_of_the_processor_s_own_do_not_exit() -> None:
    for number in (0xC0000100, 0x277):
        assert exits("0f32", (intercepts.MSR,), rcx=number)[0] == []


@pytest.mark.parametrize(
    ("code", "length"),
    [
        ("0fa2", 2), ("f4", 1), ("f390", 2), ("0f32", 2), ("0f30", 2), ("480fa2", 3), ("66f4", 2), ("f3f390", 3),
        ("2e480f32", 4), ("0fa2 0fa2", 2), ("f4 f4", 1), ("67 4f 0f30 90", 4),
    ],
)  # fmt: skip
def test_the_length_counts_prefixes_and_nothing_behind_the_instruction(code: str, length: int) -> None:
    assert intercepts.instruction_length(bytes.fromhex(code)) == length
