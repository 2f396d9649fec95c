"""A board alone: guest code on a TD for a host that has no firmware, no boot services and no interrupt table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from tdvfsh.engine.board import limit as limit_module
from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.errors import EngineError, GuestReset, GuestStopped
from tdvfsh.engine.introspect.loaded_code import LoadedCode
from tdvfsh.engine.x86.long_mode import enter_long_mode
from tdvfsh.engine.x86.paging import page_tables, page_tables_size
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.uefi.tdx import SeptState
from tdvfsh.units import LARGE_PAGE_SIZE, MIB, PAGE_SIZE, align_up
from tests.engine.assembler import Program

ADDED = LARGE_PAGE_SIZE
CODE = 0x10000
TABLES = 0x20000
NEW = 8 * MIB
COM1, RESET = 0x3F8, 0xCF9


class BareHost:
    """A host that knows no code and has no interrupt table."""

    def __init__(self) -> None:
        self.code = LoadedCode("the image")

    @property
    def interrupt_table(self) -> int | None:
        return None

    def date(self) -> datetime:
        return datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)

    def memory_name(self, address: int) -> str:
        return ""

    def halted(self) -> None:
        raise AssertionError("only programs under an interrupt table of the host's halt here")


@contextmanager
def board_with(code: bytes, sent: bytearray, limit: RunLimit | None = None) -> Iterator[Board]:
    """A TD of which only the first 2 MiB were added, with page tables and ``code`` in them."""
    td = TrustDomain(RamLayout.q35(128 * MIB), added=(AddressSpan(0, ADDED),))
    board = Board(td, Trace(td.clock), BareHost(), console=sent.append, limit=limit)
    try:
        end = 1 << 32
        board.ram.write(TABLES, page_tables(TABLES, end))
        board.ram.write(CODE, code)
        gdt = align_up(TABLES + page_tables_size(end), PAGE_SIZE)
        enter_long_mode(board.cpu, board.ram, cr3=TABLES, gdt=gdt, idt=gdt + PAGE_SIZE, stack=gdt + 4 * PAGE_SIZE)
        yield board
    finally:
        board.close()


def out(port: int, value: int) -> str:
    """``mov dx, port; mov al, value; out dx, al`` in hex."""
    return f"66BA{port.to_bytes(2, 'little').hex()}B0{value:02x}EE"


def test_guest_code_reaches_devices_and_resets_the_board() -> None:
    sent = bytearray()
    program = Program(prologue=False).raw(out(COM1, ord("A"))).raw(out(COM1, ord("B"))).raw(out(RESET, 6))
    with board_with(program.code(), sent) as board, pytest.raises(GuestReset) as reset:
        board.run(CODE)
    assert sent == b"AB"
    assert reset.value.kind == "cold"


def test_guest_code_accepts_a_page_and_uses_it() -> None:
    sent = bytearray()
    program = Program(prologue=False).mov("rax", 6).mov("rcx", NEW | 1).raw("660F01CC")
    program.mov("rcx", NEW).store("rcx", 0, "rcx").raw(out(RESET, 6))
    with board_with(program.code(), sent) as board:
        with pytest.raises(GuestReset):
            board.run(CODE)
        assert board.td.sept.state(NEW) is SeptState.MAPPED
        assert board.ram.u64(NEW) == NEW
        ((acceptor, tally),) = board.page_accepts.tallies.items()
    assert (acceptor.phase, acceptor.vcpu) == ("the image", 0)
    assert (tally.pages_2m, tally.accepted_bytes) == (1, LARGE_PAGE_SIZE)


def test_a_page_that_was_not_accepted_stops_the_board_with_its_place() -> None:
    program = Program(prologue=False).mov("rcx", NEW).store("rcx", 0, "rcx")
    with board_with(program.code(), bytearray()) as board, pytest.raises(GuestStopped) as stopped:
        board.run(CODE)
    violation = stopped.value.violation
    assert violation.what == f"write of memory that is not accepted, {NEW:#x}"
    assert violation.place == f"{CODE + 10:#x}"
    assert violation.instruction.startswith("mov qword ptr [rcx]")


def test_a_run_without_end_ends_with_its_limit() -> None:
    forever, message = b"\xeb\xfe", r"given up after 0\.2 s"  # jmp to itself
    with (
        RunLimit(0.2) as limit,
        board_with(forever, bytearray(), limit) as board,
        pytest.raises(EngineError, match=message),
    ):
        board.run(CODE)


@pytest.mark.parametrize("wanted", [False, True])
def test_the_host_takes_the_calls_of_a_guest_function_that_it_wants(wanted: bool) -> None:
    sent = bytearray()
    function = CODE + 0x100
    program = Program(prologue=False).mov("rax", function).raw("FFD0 66BA F803 EE").raw(out(RESET, 6))  # call rax; out
    guest_own = Program(prologue=False).mov("rax", ord("g")).raw("C3")
    with board_with(program.code().ljust(0x100, b"\xf4") + guest_own.code(), sent) as board:

        def serve() -> int:
            stack = board.cpu.read("RSP")
            board.cpu.write("RAX", ord("h"))
            board.cpu.write("RSP", stack + 8)
            return board.ram.u64(stack)

        stand_in = board.stand_ins.add(function, lambda: wanted, serve)
        with pytest.raises(GuestReset):
            board.run(CODE)
        board.stand_ins.remove(stand_in)
        with pytest.raises(GuestReset):
            board.run(CODE)
    assert sent.decode() == ("hg" if wanted else "gg")


def test_guest_code_that_accepts_without_end_stops_where_the_journal_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_module, "MOST_RECORDS", 50)
    program = Program(prologue=False).mov("rcx", NEW).label("again").raw("4881C100200000")  # add rcx, 0x2000
    program.mov("rax", 6).raw("660F01CC").jump("again")
    with board_with(program.code(), bytearray()) as board:
        with pytest.raises(EngineError, match="stopped after 50 journal records: one run keeps no more"):
            board.run(CODE)
        board.begin_journal()
        board.check_limit()
