"""Backwards by repetition: the run begins again, and comes to the moment before, with the same registers and memory."""

from __future__ import annotations

from pathlib import Path

from tdvfsh.engine.errors import EngineError
from tests.engine.assembler import Program
from tests.engine.debug.client import Client, debugged

RAX, RCX, RSP = 0, 2, 7
END = b"W00"
STEPPED = b"T05thread:1;"
REACHED = b"T05thread:1;swbreak:;"
FIRST = b"T05thread:1;replaylog:begin;"


def counting(turns: int) -> bytes:
    """A loop that counts RCX up to ``turns`` and pushes it into a cell; then a service is called, and a store made."""
    code = Program().raw("31C9")  # xor ecx, ecx
    # again: inc ecx; mov [rsp+0x60], rcx; cmp ecx, turns; jne again
    code.raw("FFC1 48894C2460 81F9" + turns.to_bytes(4, "little").hex() + "75F1")
    return code.mov("rcx", 7).boot("Stall").raw("48C744246801000000").ret(0).image()  # mov qword [rsp+0x68], 1


def loop_of(client: Client) -> int:
    """Address of the loop's first instruction."""
    return client.pointer + len(Program().code()) + 2


def snapshot(client: Client) -> tuple[bytes, bytes]:
    """All registers and the top of the stack."""
    return client.ask(b"g"), client.memory(client.register(RSP), 0x80)


def test_a_step_back_from_a_breakpoint_that_was_run_to(tmp_path: Path) -> None:
    with debugged(counting(5000), tmp_path) as (client, guest):
        loop = loop_of(client)
        after = loop + 15
        client.ask(b"Z0,%x,1" % after)
        assert client.ask(b"vCont;c") == REACHED
        present = snapshot(client)
        assert client.ask(b"bs") == STEPPED
        assert client.pointer == after - 2  # the jump that was not taken
        assert client.register(RCX) == 5000
        assert client.ask(b"vCont;s:1") == STEPPED
        assert snapshot(client) == present
        assert client.ask(b"bs") == STEPPED
        for _ in range(4):
            assert client.ask(b"bs") == STEPPED
        assert (client.pointer, client.register(RCX)) == (after - 2, 4999)
        assert guest.runs == 2  # the steps before the present were recorded
        assert client.ask(b"vCont;c") == REACHED
        assert snapshot(client) == present
        assert client.ask(b"vCont;c") == END


def test_back_to_a_breakpoint_at_which_the_run_did_not_halt_before(tmp_path: Path) -> None:
    with debugged(counting(500), tmp_path) as (client, _):
        loop = loop_of(client)
        client.ask(b"Z0,%x,1" % (loop + 15))
        assert client.ask(b"vCont;c") == REACHED
        client.ask(b"Z0,%x,1" % loop)
        for count in (499, 498):
            assert client.ask(b"bc") == REACHED
            assert (client.pointer, client.register(RCX)) == (loop, count)
        assert client.ask(b"vCont;c") == REACHED
        assert client.register(RCX) == 499
        client.ask(b"z0,%x,1" % loop)
        assert client.ask(b"vCont;c") == REACHED
        assert client.register(RCX) == 500
        assert client.ask(b"bc") == FIRST
        assert client.pointer == loop - 2 - len(Program().code())
        assert client.ask(b"bs") == FIRST
        assert client.ask(b"vCont;c") == REACHED
        client.ask(b"z0,%x,1" % (loop + 15))
        assert client.ask(b"vCont;c") == END


def test_back_before_the_store_that_a_watchpoint_waits_for(tmp_path: Path) -> None:
    with debugged(counting(300), tmp_path) as (client, _):
        loop = loop_of(client)
        client.ask(b"Z0,%x,1" % (loop + 15))
        client.ask(b"vCont;c")
        cell = client.register(RSP) + 0x60
        assert client.ask(b"Z2,%x,8" % cell) == b"OK"
        for count in (299, 298):
            assert client.ask(b"bc") == b"T05thread:1;watch:%x;" % cell
            assert client.pointer == loop + 2
            assert int.from_bytes(client.memory(cell, 8), "little") == count  # as it was before
            assert client.register(RCX) == count + 1
        client.ask(b"z2,%x,8" % cell)
        client.ask(b"z0,%x,1" % (loop + 15))
        assert client.ask(b"vCont;c") == END


def test_back_over_recorded_steps_a_watchpoint_halts_before_the_store(tmp_path: Path) -> None:
    with debugged(counting(9), tmp_path) as (client, guest):
        loop = loop_of(client)
        client.ask(b"Z0,%x,1" % loop)
        client.ask(b"vCont;c")
        client.ask(b"z0,%x,1" % loop)
        for _ in range(4):
            assert client.ask(b"vCont;s:1") == STEPPED
        cell = client.register(RSP) + 0x60
        assert client.ask(b"Z2,%x,8" % cell) == b"OK"
        assert client.ask(b"bc") == b"T05thread:1;watch:%x;" % cell
        assert (client.pointer, guest.runs) == (loop + 2, 1)
        client.ask(b"z2,%x,8" % cell)
        assert client.ask(b"vCont;c") == END


def test_back_over_a_service_that_the_host_has_served(tmp_path: Path) -> None:
    with debugged(counting(10), tmp_path) as (client, _):
        loop = loop_of(client)
        client.monitor("break-on service Stall")
        assert client.ask(b"vCont;c") == STEPPED
        at_service = client.pointer
        client.ask(b"Z0,%x,1" % loop)
        assert client.ask(b"bc") == REACHED
        assert (client.pointer, client.register(RCX)) == (loop, 9)
        client.ask(b"z0,%x,1" % loop)
        assert client.ask(b"vCont;c") == STEPPED
        assert client.pointer == at_service
        back = int.from_bytes(client.memory(client.register(RSP), 8), "little")
        client.ask(b"Z0,%x,1" % back)
        assert client.ask(b"vCont;c") == REACHED
        assert client.ask(b"bs") == STEPPED  # the return of the stub
        assert client.memory(client.pointer, 1) == b"\xc3"
        for _ in range(12):
            client.ask(b"bs")
        assert client.pointer < back  # in the program again, before its call
        client.ask(b"z0,%x,1" % back)
        client.monitor("break-on none")
        assert client.ask(b"vCont;c") == END


def test_what_gdb_changed_is_changed_again(tmp_path: Path) -> None:
    with debugged(counting(100), tmp_path) as (client, _):
        loop = loop_of(client)
        client.ask(b"Z0,%x,1" % loop)
        client.ask(b"vCont;c")
        client.ask(b"P0=" + (77).to_bytes(8, "little").hex().encode())
        client.ask(b"z0,%x,1" % loop)
        client.ask(b"Z0,%x,1" % (loop + 15))
        assert client.ask(b"vCont;c") == REACHED
        assert client.ask(b"bs") == STEPPED
        assert client.register(RAX) == 77
        client.ask(b"Z0,%x,1" % loop)
        assert client.ask(b"bc") == REACHED
        assert client.register(RAX) == 77
        client.ask(b"z0,%x,1" % loop)
        client.ask(b"z0,%x,1" % (loop + 15))
        assert client.ask(b"vCont;c") == END


def test_back_from_where_the_guest_was_stopped(tmp_path: Path) -> None:
    # mov eax, 5; mov rbx, 0x40000000; mov rcx, [rbx]
    touch = Program(prologue=False).raw("B805000000 48BB0000004000000000 488B0B C3")
    with debugged(touch.image(), tmp_path) as (client, guest):
        at = client.pointer
        assert client.ask(b"vCont;c") == b"T0bthread:1;"
        assert client.ask(b"bs") == STEPPED
        assert client.pointer == at + 5
        assert client.ask(b"bs") == STEPPED
        assert client.pointer == at
        assert client.ask(b"vCont;c") == b"T0bthread:1;"
        assert client.ask(b"vCont;c") == END
    assert isinstance(guest.error, EngineError)


def test_back_from_an_interruption_of_a_loop(tmp_path: Path) -> None:
    # xor ecx, ecx; again: inc ecx; cmp ecx, -1; jne again; xor eax, eax
    endless = Program(prologue=False).raw("31C9 FFC1 83F9FF 75F9 31C0 C3")
    with debugged(endless.image(), tmp_path) as (client, _):
        start = client.pointer
        client.tell(b"vCont;c")
        client.socket.sendall(b"\x03")  # comes before anything has run
        assert client.answer() == b"T02thread:1;"
        assert client.ask(b"bs") == FIRST
        assert client.ask(b"vCont;s:1") == STEPPED
        counted = 0
        while counted < 2:
            client.tell(b"vCont;c")
            client.socket.sendall(b"\x03")
            assert client.answer() == b"T02thread:1;"
            counted = client.register(RCX)
        assert client.ask(b"bs") == STEPPED
        assert (client.pointer, client.register(RCX)) == (start + 7, counted)
        client.ask(b"Z0,%x,1" % (start + 2))
        assert client.ask(b"bc") == REACHED
        assert client.register(RCX) == counted - 1
        client.ask(b"z0,%x,1" % (start + 2))
        client.ask(b"P2=" + (0xFFFFFFF0).to_bytes(8, "little").hex().encode())
        assert client.ask(b"vCont;c") == END


def test_after_a_while_without_gdb_there_is_no_way_back(tmp_path: Path) -> None:
    endless = Program(prologue=False).raw("B901000000 0F31 83F901 74F9 31C0 C3")  # mov ecx, 1; again: rdtsc; je again
    with debugged(endless.image(), tmp_path) as (client, guest):
        after_the_loop = client.pointer + 12
        client.ask(b"D")
        with Client(guest.path) as second:
            assert second.ask(b"bs") == FIRST
            assert second.console == "not further back: the run went on without gdb for a while\n"
            second.ask(b"P10=" + after_the_loop.to_bytes(8, "little").hex().encode())
            assert second.ask(b"vCont;c") == END
