"""A run of an operating system: what its console ends, what its end is called, and what is left to accept."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from tdvfsh.engine.errors import EngineError, GuestDead, GuestFatal, GuestIdle, GuestReset, WatchdogExpired
from tdvfsh.engine.runs.os_run import (
    ConsoleMatched,
    KernelPanicked,
    OsRun,
    SystemConsole,
    ending_of,
    rest_time,
)
from tdvfsh.engine.tdx.page_accepts import Acceptor, AcceptTally
from tdvfsh.td.accept import accept_memory_resource
from tdvfsh.td.cost import NO_TIME, cost_model
from tdvfsh.td.mapgpa import map_gpa
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE

COST = cost_model()


class Console:
    """A console and what it showed."""

    def __init__(self, until: str | None = None) -> None:
        self.shown = bytearray()
        self._console = SystemConsole(self.shown.extend, None if until is None else re.compile(until))

    def say(self, text: bytes) -> None:
        for byte in text:
            self._console.put(byte)


def test_every_byte_is_shown_as_it_comes_text_or_not() -> None:
    console = Console()
    console.say(b"hello\r\n\xff\x00\xc3")
    assert bytes(console.shown) == b"hello\r\n\xff\x00\xc3"


@pytest.mark.parametrize("until", ["login: ", "log.n", r"^debian login: $", "ä login"])
def test_a_line_that_matches_ends_the_run_even_before_its_end(until: str) -> None:
    console = Console(until)
    lines = b"nothing yet\r\n" + ("ä login: " if "ä" in until else "debian login: ").encode()
    with pytest.raises(ConsoleMatched, match=re.escape(repr(until))):
        console.say(lines + b"not shown")
    assert bytes(console.shown).startswith(b"nothing yet\r\n")
    assert not bytes(console.shown).endswith(b"not shown")


def test_an_expression_does_not_match_across_lines() -> None:
    Console("first.*second|^ond").say(b"first\nsecond\nfir st\n")


def test_the_end_of_a_panic_ends_the_run_with_its_reason() -> None:
    console = Console()
    console.say(b"[ 1.0] Kernel panic - not syncing: not yet\r\n[ 1.1] CPU: 0 [swapper]\r\n")
    with pytest.raises(KernelPanicked, match=r"panicked: Attempted to kill init! exitcode=0x00000100$"):
        console.say(b"[ 1.2] ---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100 ]---\r\n")


def test_a_panic_counts_while_something_else_is_waited_for() -> None:
    with pytest.raises(KernelPanicked):
        Console("login").say(b"---[ end Kernel panic - not syncing: VFS ]---")


@pytest.mark.parametrize(
    ("error", "ending", "why", "succeeded"),
    [
        (GuestReset("shutdown", SUCCESS), "power off", "the system switched the machine off", True),
        (GuestReset("cold", SUCCESS), "reset", "the system asked for a cold reset", True),
        (GuestReset("warm", SUCCESS), "reset", "the system asked for a warm reset", True),
        (ConsoleMatched("the console showed 'x'"), "matched", "the console showed 'x'", True),
        (KernelPanicked("the kernel panicked: x"), "panic", "the kernel panicked: x", False),
        (GuestFatal(1, "no"), "fatal error", "the guest reported a fatal error, 0x1: no", False),
        (GuestDead("it waits"), "dead", "it waits", False),
        (GuestIdle("idle"), "given up", "idle", False),
        (WatchdogExpired(5), "given up", "the watchdog timer of 5 s ran out", False),
    ],
)
def test_every_end_has_a_name_and_a_reason(error: EngineError, ending: str, why: str, succeeded: bool) -> None:
    assert ending_of(error) == (ending, why)
    assert os_run(ending).succeeded is succeeded


def os_run(ending: str = "power off", tallies: Mapping[Acceptor, AcceptTally] | None = None) -> OsRun:
    return OsRun(ending, "", tallies or {}, 0, 0, 0, 0, b"", b"", 0.0, NO_TIME, NO_TIME, {})


def test_the_total_is_the_sum_of_all_tallies_and_leaves_them_alone() -> None:
    tallies = {
        Acceptor("stub"): AcceptTally(2, 1, 0, 1, 0, 3, 10),
        Acceptor("kernel", 1): AcceptTally(5, 0, 4, 0, 1, 6, 20),
    }
    run = os_run(tallies=tallies)
    assert run.total == AcceptTally(7, 1, 4, 1, 1, 9, 30)
    assert run.total.accepted_bytes == PAGE_SIZE + 4 * LARGE_PAGE_SIZE
    assert run.tallies[Acceptor("stub")].calls == 2


def td(host_page_size: int = LARGE_PAGE_SIZE, is_td: bool = True) -> TrustDomain:
    return TrustDomain(RamLayout.q35(GIB), host_page_size=host_page_size, td=is_td)


def test_the_rest_of_an_untouched_td_is_all_its_large_pages_with_an_exit_each() -> None:
    assert rest_time(td()) == COST.time(AcceptTally(512, 0, 512, td_exits=512))


def test_in_a_plain_vm_and_where_all_is_accepted_nothing_is_left() -> None:
    assert rest_time(td(is_td=False)) == NO_TIME
    machine = td()
    accept_memory_resource(machine, 0, GIB)
    assert rest_time(machine) == NO_TIME


@pytest.mark.parametrize("host_page_size", [PAGE_SIZE, LARGE_PAGE_SIZE])
@pytest.mark.parametrize("accepted", [[], [(0, 16 * MIB)], [(0, 16 * MIB + 3 * PAGE_SIZE)], [(5 * PAGE_SIZE, MIB)]])
def test_the_rest_is_what_accepting_it_takes(host_page_size: int, accepted: list[tuple[int, int]]) -> None:
    machine = td(host_page_size)
    for start, size in accepted:
        accept_memory_resource(machine, start, size)
    said = rest_time(machine)
    before = machine.spent
    for start, end, entry in list(machine.sept.spans(0, GIB)):
        if entry.state == 0:
            accept_memory_resource(machine, start, end - start)
    assert machine.unaccepted_bytes == 0
    assert said.likely == pytest.approx((machine.spent - before).likely, abs=8)
    assert said.high == pytest.approx((machine.spent - before).high, abs=8)


def test_shared_memory_is_not_left_to_accept() -> None:
    machine = td()
    accept_memory_resource(machine, 0, GIB)
    map_gpa(machine, machine.shared_mask | 16 * MIB, LARGE_PAGE_SIZE)
    assert rest_time(machine) == NO_TIME
    map_gpa(machine, 16 * MIB, LARGE_PAGE_SIZE)
    assert rest_time(machine).likely > 0
