"""Guest code and firmware that call each other: how deep, and what is left when it was too deep."""

from __future__ import annotations

import pytest

from tdvfsh.dxe.events import EVT_NOTIFY_SIGNAL, TPL_CALLBACK
from tdvfsh.engine.errors import EngineError, GuestStopped
from tdvfsh.engine.runs import guest_calls
from tdvfsh.engine.runs.guest_calls import MOST_NESTED
from tdvfsh.uefi.status import SUCCESS
from tests.engine.assembler import SCRATCH, Program
from tests.engine.programs import guest, load


def signals_itself(times: int) -> bytes:
    """A notification function that signals its own event and lowers the priority, ``times`` times."""
    program = Program().lea("rcx", "context").store("rcx", 0, "rsi")
    program.mov("rcx", EVT_NOTIFY_SIGNAL).mov("rdx", TPL_CALLBACK).lea("r8", "notify").lea("r9", "context")
    program.address("rax", "rsp", SCRATCH).stack_argument(4, "rax").boot("CreateEvent").jump_if_error("end")
    program.load("rcx", "rsp", SCRATCH).boot("SignalEvent").label("end").ret()
    program.label("notify").raw(
        "53 56 4883EC28 4889CB 488B32"
    )  # push rbx, rsi; sub rsp, 0x28; mov rbx, rcx; mov rsi, [rdx]
    program.lea("rax", "left").raw("48FF08 7E")  # dec qword [rax]; jle
    at = len(program._code)
    program.raw("00").copy("rcx", "rbx").boot("SignalEvent").mov("rcx", 4).boot("RestoreTPL")
    program._code[at] = len(program._code) - at - 1
    program.raw("4883C428 5E 5B C3")
    return program.data("context", bytes(8)).data("left", times.to_bytes(8, "little")).image()


def test_calls_inside_each_other_end_before_the_hosts_own_stack_does() -> None:
    with guest() as (firmware, _):
        with pytest.raises(GuestStopped) as stopped:
            firmware.services.start_image(load(firmware, signals_itself(1 << 40)))
        lines = stopped.value.violation.lines()
        assert f"{MOST_NESTED} calls of guest code inside each other, by RestoreTPL" in lines[0]
        assert any("test.efi" in line for line in lines)


def test_what_was_too_deep_is_over_when_it_has_been_left() -> None:
    with guest() as (firmware, _):
        with pytest.raises(GuestStopped):
            firmware.services.start_image(load(firmware, signals_itself(1 << 40)))
        assert firmware.services.start_image(load(firmware, Program().ret(0).image())).status is SUCCESS


def test_a_depth_below_the_bound_is_served() -> None:
    with guest() as (firmware, _):
        image = load(firmware, signals_itself(MOST_NESTED - 2))
        assert firmware.services.start_image(image).status is SUCCESS


def sums(times: int) -> bytes:
    """A program that computes a checksum ``times`` times, each a journal record."""
    program = Program()
    for _ in range(times):
        program.lea("rcx", "data").mov("rdx", 8).lea("r8", "sum").boot("CalculateCrc32")
    return program.data("data", bytes(8)).data("sum", bytes(8)).ret(0).image()


def test_a_program_without_an_end_stops_where_its_journal_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_calls, "MOST_CALL_RECORDS", 100)
    with guest() as (firmware, _):
        with pytest.raises(EngineError, match="stopped after 100 journal records of a program: one run keeps no more"):
            firmware.services.start_image(load(firmware, sums(200)))
        for _ in range(3):  # each program has as many
            assert firmware.services.start_image(load(firmware, sums(90))).status is SUCCESS
