"""Input for a system's serial console: when lines are typed, what a user's waiting means, and that it arrives."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.console.raw_terminal import RawTerminal
from tdvfsh.engine.console.serial_input import CommandsAtShell, InputEnded, TypedAtTerminal, TypedLines
from tdvfsh.engine.errors import GuestDead
from tdvfsh.engine.runs.os_run import ending_of
from tests.engine.operating_system import VMCALL_HLT, VMCALL_IO, Kernel
from tests.engine.system_run import powered_off, run_system

SECOND = 1_000_000_000
DATA, ENABLE, LINE_STATUS = 0x3F8, 0x3F9, 0x3FD


def echo(period: int = SECOND // 100) -> Kernel:
    """A system that sends back each byte that it gets, looking for one every ``period`` ns, until it gets a q."""
    kernel = Kernel().out(ENABLE, 1).label("round").arm_timer(2 * period).vmcall(VMCALL_HLT, r12=0).sti().raw("FA")
    kernel.label("more").vmcall(VMCALL_IO, r12=1, r13=0, r14=LINE_STATUS).copy("rax", "r11")
    kernel.raw("4883E001").jump_if_zero("round")  # and rax, 1
    kernel.vmcall(VMCALL_IO, r12=1, r13=0, r14=DATA).copy("rax", "r11").raw("3C71 0F84")._to("end")  # cmp al, 'q'; je
    kernel.copy("r15", "r11").mov("rax", 0).mov("rcx", 0xFC00).mov("r10", 0).mov("r11", VMCALL_IO).mov("r12", 1)
    kernel.mov("r13", 1).mov("r14", DATA).raw("660F01CC").jump("more").label("end").power_off()
    return kernel.handle_timer()


def test_lines_reach_a_system_that_listens_with_enter_at_their_ends() -> None:
    assert powered_off(echo(), typed=TypedLines("ab\ncd\r\nq")).console == "ab\rcd\r"


def test_nothing_is_typed_before_the_system_listens() -> None:
    kernel = Kernel().arm_timer(2 * SECOND).vmcall(VMCALL_HLT, r12=0).sti()
    kernel.vmcall(VMCALL_IO, r12=1, r13=0, r14=LINE_STATUS).keep("r11", "status").power_off().handle_timer()
    assert powered_off(kernel, typed=TypedLines("x\n")).cells["status"] & 1 == 0


def test_where_the_input_has_ended_and_the_system_waits_on_the_run_ends_well() -> None:
    ran = run_system(echo(SECOND), typed=TypedLines("x\n"))
    assert isinstance(ran.error, InputEnded)
    assert ending_of(ran.error)[0] == "input ended"
    assert ran.console == "x\r"
    assert 60 * SECOND < ran.firmware.clock.now_ns < 64 * SECOND


@pytest.mark.parametrize("text", ["", "x\n"])
def test_a_system_that_has_halted_for_good_is_dead_and_waits_for_no_input(text: str) -> None:
    ran = run_system(Kernel().out(ENABLE, 1).vmcall(VMCALL_HLT, r12=1).spin(), typed=TypedLines(text))
    assert isinstance(ran.error, GuestDead)
    assert str(ran.error) == "the system has halted with interrupts off"


class Silent:
    """A user who types nothing."""

    def heard(self, now: int, byte: int) -> None:
        """Discard it."""

    def waits(self, now: int, until: int | None) -> int:
        return now + 1

    def take(self) -> bytes:
        return b""


def test_a_system_that_waits_for_a_person_alone_ends_when_its_time_is_over() -> None:
    ran = run_system(Kernel().out(ENABLE, 1).vmcall(VMCALL_HLT, r12=0).spin(), typed=Silent(), seconds=0.3)
    assert str(ran.error) == "given up after 0.3 s"


def test_a_line_is_typed_when_the_system_has_been_quiet_for_a_moment() -> None:
    lines = TypedLines("one\ntwo\n")
    assert lines.waits(0, 5 * SECOND) == SECOND // 10
    lines.heard(SECOND // 20, 0x41)
    assert lines.waits(SECOND // 10, None) == SECOND // 20 + SECOND // 10
    assert lines.take() == b""
    assert lines.waits(SECOND, 5 * SECOND) == SECOND
    assert (lines.take(), lines.take()) == (b"one\r", b"")
    assert lines.waits(SECOND, SECOND + 7) == SECOND + 7  # a timer comes first


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", categories=("L", "P"))), max_size=5), st.data())
def test_all_lines_are_typed_in_order_whatever_the_system_says_in_between(
    lines: list[str], data: st.DataObject
) -> None:
    typed, now, got, ended = TypedLines("".join(f"{line}\n" for line in lines)), 0, b"", False
    while not ended:
        until = data.draw(st.none() | st.integers(now, now + 90 * SECOND))
        try:
            again = typed.waits(now, until)
        except InputEnded:
            ended = True
            continue
        assert again is not None
        assert now <= again
        assert until is None or again <= until
        now = again
        got += typed.take()
        if data.draw(st.booleans()) and now < 5 * SECOND:
            typed.heard(now, 0x41)
    assert got.decode() == "".join(f"{line}\r" for line in lines)


def typed_at(lines: TypedLines, now: int, shown: bytes) -> tuple[int, bytes]:
    """When something is typed at a system that has shown this and waits, and what."""
    for byte in shown:
        lines.heard(now, byte)
    while not (typed := lines.take()):
        again = lines.waits(now, None)
        assert again is not None
        now = again
    return now, typed


def test_commands_for_a_shell_wait_for_its_prompt_and_log_in_where_that_is_asked_for() -> None:
    lines, now = CommandsAtShell("one\ntwo\nthree\n"), 0
    now, typed = typed_at(lines, now, b"systemd[1]: Failed to find module 'autofs4'\r\n\x1b[6n\r\ntdvfsh login: ")
    assert (now, typed) == (SECOND // 10, b"root\r")
    now, typed = typed_at(lines, now, b"root\r\nno warranty.\r\n\x1b[?2004hroot@tdvfsh:~# ")
    assert (now, typed) == (2 * SECOND // 10, b"one\r")
    began = now
    now, typed = typed_at(lines, now, b"one\r\n")  # runs in silence
    assert (now - began, typed) == (60 * SECOND, b"two\r")
    assert typed_at(lines, now, b"\r\ntdvfsh login: ")[1] == b"three\r"  # once: a refused login ends too


def test_commands_for_a_shell_without_a_login_are_typed_at_its_prompt() -> None:
    lines = CommandsAtShell("one\n")
    assert typed_at(lines, 0, b"~ # ") == (SECOND // 10, b"one\r")


@pytest.fixture
def terminal() -> Iterator[tuple[int, RawTerminal]]:
    """The side that a user types at, and the terminal."""
    user, side = pty.openpty()
    with RawTerminal(side) as raw:
        yield user, raw
    os.close(side)
    os.close(user)


def test_what_a_person_types_arrives_as_it_is_ctrl_c_too(terminal: tuple[int, RawTerminal]) -> None:
    user, raw = terminal
    os.write(user, b"a\r\x03")
    source, got = TypedAtTerminal(raw), b""
    while len(got) < 3:
        until = source.waits(0, 5 * SECOND)
        assert until is not None
        assert until <= SECOND // 10
        got += source.take()
    assert got == b"a\r\x03"


def test_a_person_s_waiting_passes_for_the_system_and_never_beyond_its_timer(terminal: tuple[int, RawTerminal]) -> None:
    source = TypedAtTerminal(terminal[1])
    assert source.waits(1000, 1005) == 1005
    assert source.waits(1000, 1000) == 1000
    assert source.waits(1000, None) == 1000 + SECOND // 10
    assert source.take() == b""


def test_two_runs_with_the_same_lines_take_the_same_time() -> None:
    first, second = (powered_off(echo(), typed=TypedLines("a\nq")).firmware.clock.now_ns for _ in range(2))
    assert first == second
