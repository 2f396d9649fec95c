"""TDG.MEM.PAGE.ACCEPT of guest code: what RAX says, what is counted and timed, what the journal shows."""

from __future__ import annotations

import pytest

from tdvfsh.engine.errors import GuestDead
from tdvfsh.engine.tdx.page_accepts import Acceptor, AcceptTally, PageAccepts
from tdvfsh.history.accept_events import accept_events
from tdvfsh.td.cost import cost_model
from tdvfsh.td.faults import FaultPlan
from tdvfsh.td.mapgpa import map_gpa
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace
from tdvfsh.trace.records import PageAccept
from tdvfsh.uefi.service_names import PAGE_ACCEPT
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.tdx import SeptState, TdcallStatus
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE

OPERAND_INVALID_RCX = 0xC000010000000001
ALREADY_ACCEPTED, SIZE_MISMATCH = 0x00000B0A00000000, 0xC0000B0B00000000
LARGE = 1  # the level in RCX
START = 16 * MIB

CONSTANTS = cost_model().constants
TWO_PAGES = round(sum(CONSTANTS[name].likely for name in ("accept_2m", "accept_4k", "td_exit", "td_exit")))
REJECTED = CONSTANTS["rejected_call"].likely


class Guest:
    """A TD of 1 GiB whose guest accepts as ``phase``."""

    def __init__(self, host_page_size: int = LARGE_PAGE_SIZE) -> None:
        self.td = TrustDomain(RamLayout.q35(GIB), host_page_size=host_page_size)
        self.trace = Trace(self.td.clock)
        self.phase = "kernel"
        self.vcpu = 0
        self.accepts = PageAccepts(self.td, self.trace, lambda: Acceptor(self.phase, self.vcpu))

    def accept(self, start: int, level: int = 0) -> int:
        return self.accepts.accept(start | level)

    @property
    def tally(self) -> AcceptTally:
        return self.accepts.tallies[Acceptor(self.phase, self.vcpu)]

    def last(self) -> PageAccept:
        return self.records()[-1]

    def records(self) -> list[PageAccept]:
        return [record for record in self.trace.records if isinstance(record, PageAccept)]


def test_a_page_of_either_size_is_accepted_counted_and_timed() -> None:
    guest = Guest()
    assert guest.accept(START, LARGE) == 0
    assert guest.accept(START + LARGE_PAGE_SIZE) == 0
    assert guest.td.accepted_bytes == LARGE_PAGE_SIZE + PAGE_SIZE
    assert guest.td.sept.state(START) is SeptState.MAPPED
    ns = TWO_PAGES
    assert guest.tally == AcceptTally(calls=2, pages_4k=1, pages_2m=1, td_exits=2, ns=ns)
    assert guest.tally.accepted_bytes == LARGE_PAGE_SIZE + PAGE_SIZE
    assert guest.td.clock.now_ns == ns


@pytest.mark.parametrize("level", [0, LARGE])
def test_an_accepted_page_is_not_accepted_again(level: int) -> None:
    guest = Guest()
    guest.accept(START, LARGE)
    status = guest.accept(START, level)
    assert status == ALREADY_ACCEPTED | 1  # the level at which it is mapped
    assert (guest.tally.calls, guest.tally.refused, guest.tally.accepted_bytes) == (2, 1, LARGE_PAGE_SIZE)


def test_a_host_of_small_pages_answers_with_a_mismatch_and_the_guest_falls_back() -> None:
    guest = Guest(host_page_size=PAGE_SIZE)
    assert guest.accept(START, LARGE) == SIZE_MISMATCH | 1
    assert guest.td.accepted_bytes == 0
    for number in range(512):
        assert guest.accept(START + number * PAGE_SIZE) == 0
    tally = guest.tally
    assert (tally.calls, tally.pages_4k, tally.pages_2m, tally.mismatches, tally.refused) == (513, 512, 0, 1, 0)
    assert tally.td_exits == 512
    assert tally.accepted_bytes == guest.td.accepted_bytes == LARGE_PAGE_SIZE
    assert tally.ns == cost_model().nanoseconds(tally)
    first, second = guest.records()
    assert (first.completion, first.status) == ("PAGE_SIZE_MISMATCH", EfiStatus.EFI_INVALID_PARAMETER)
    assert (second.calls, second.size) == (512, LARGE_PAGE_SIZE)


@pytest.mark.parametrize(
    "rcx",
    [
        START | 2,  # 1 GiB
        START | 3, START | 7,
        START | 1 << 3, START | 1 << 11,  # reserved
        1 << 52 | START, 1 << 63 | START,
        1 << 47 | START,  # the shared bit
        START + PAGE_SIZE | LARGE,  # not aligned to the page
    ],
)  # fmt: skip
def test_a_wrong_operand_is_refused_with_its_register_and_accepts_nothing(rcx: int) -> None:
    guest = Guest()
    assert guest.accepts.accept(rcx) == OPERAND_INVALID_RCX
    assert guest.td.accepted_bytes == 0
    assert (guest.tally.calls, guest.tally.refused, guest.tally.mismatches) == (1, 1, 0)
    assert guest.tally.ns == REJECTED
    assert guest.last().completion == "OPERAND_INVALID"
    assert guest.last().status is EfiStatus.EFI_INVALID_PARAMETER


def test_a_page_where_there_is_no_ram_never_returns() -> None:
    guest = Guest()
    with pytest.raises(GuestDead, match="0x80000000 never returns"):
        guest.accept(2 * GIB)
    assert guest.accepts.tallies == {}
    assert guest.trace.records == []


@pytest.mark.parametrize("status", [TdcallStatus.OPERAND_BUSY, TdcallStatus.EPT_ENTRY_STATE_INCORRECT])
def test_other_statuses_come_back_as_they_are(status: TdcallStatus) -> None:
    guest = Guest()
    guest.td.faults = FaultPlan(tdcalls={1: status})
    assert guest.accept(START) == status
    assert (guest.tally.refused, guest.td.accepted_bytes) == (1, 0)
    assert guest.accept(START) == 0


def test_a_page_that_was_converted_and_back_must_be_accepted_anew() -> None:
    guest = Guest()
    guest.accept(START, LARGE)
    map_gpa(guest.td, guest.td.shared_mask | START, PAGE_SIZE)
    map_gpa(guest.td, START, PAGE_SIZE)
    assert guest.accept(START, LARGE) == SIZE_MISMATCH | 1
    assert guest.accept(START) == 0
    assert guest.accept(START + PAGE_SIZE) == ALREADY_ACCEPTED


def test_a_dropped_accept_looks_done_and_is_not() -> None:
    guest = Guest()
    guest.accepts.drop = 2
    assert [guest.accept(START + number * PAGE_SIZE) for number in range(3)] == [0, 0, 0]
    assert guest.td.sept.state(START + PAGE_SIZE) is not SeptState.MAPPED
    assert (guest.tally.calls, guest.td.accepted_bytes) == (2, 2 * PAGE_SIZE)


def test_neighbouring_calls_of_one_caller_are_one_record_whose_range_grows() -> None:
    guest = Guest()
    for number in range(3):
        guest.accept(START + number * PAGE_SIZE)
    (record,) = guest.records()
    assert (record.service, record.caller, record.status) == (PAGE_ACCEPT, "kernel", SUCCESS)
    assert record.arguments == {"start": START, "size": 3 * PAGE_SIZE, "vcpu": 0}
    assert record.results == {
        "calls": 3, "pages_4k": 3, "pages_2m": 0, "completion": "SUCCESS", "duration_ns": guest.td.clock.now_ns,
    }  # fmt: skip
    assert record.time_ns == 0


def test_records_of_both_sizes_join() -> None:
    guest = Guest()
    guest.accept(START, LARGE)
    guest.accept(START + LARGE_PAGE_SIZE)
    (record,) = guest.records()
    assert record.size == LARGE_PAGE_SIZE + PAGE_SIZE
    assert (record.pages_2m, record.pages_4k) == (1, 1)


def test_a_gap_another_caller_another_completion_or_another_record_begins_a_new_one() -> None:
    guest = Guest()
    guest.accept(START)
    guest.accept(START + 2 * PAGE_SIZE)  # a gap
    guest.phase = "page allocator"
    guest.accept(START + 3 * PAGE_SIZE)
    guest.accept(START + 3 * PAGE_SIZE)  # accepted already
    guest.trace.note("ResetSystem")
    guest.accept(START + 4 * PAGE_SIZE)
    guest.trace.note("ResetSystem")
    guest.accept(START + 5 * PAGE_SIZE)
    found = [(record.calls, record.caller) for record in guest.records()]
    assert found == [(1, "kernel")] * 2 + [(1, "page allocator")] * 4


def test_phases_are_kept_in_the_order_in_which_they_began_and_add_up() -> None:
    guest = Guest()
    for phase, number in (("stub", 0), ("kernel", 1), ("stub", 2)):
        guest.phase = phase
        guest.accept(START + number * LARGE_PAGE_SIZE, LARGE)
    assert list(guest.accepts.tallies) == [("stub", 0), ("kernel", 0)]
    total = AcceptTally()
    for tally in guest.accepts.tallies.values():
        total.add(tally)
    assert (total.calls, total.pages_2m, total.accepted_bytes) == (3, 3, guest.td.accepted_bytes)
    assert total.ns == guest.td.clock.now_ns
    assert guest.trace.caller == "shell"


def test_each_vcpu_has_a_tally_and_records_of_its_own() -> None:
    guest = Guest()
    for number in range(4):
        guest.vcpu = number // 2
        guest.accept(START + number * LARGE_PAGE_SIZE, LARGE)
    assert {acceptor.vcpu: tally.calls for acceptor, tally in guest.accepts.tallies.items()} == {0: 2, 1: 2}
    assert [(record.vcpu, record.calls) for record in guest.records()] == [(0, 2), (1, 2)]


def test_each_record_has_the_modelled_time_of_its_calls() -> None:
    guest = Guest()
    guest.accept(START, LARGE)
    guest.accept(START + LARGE_PAGE_SIZE)
    guest.accept(START)  # accepted already
    first, second = guest.records()
    assert (first.time_ns, first.duration_ns) == (0, TWO_PAGES)
    assert (second.time_ns, second.duration_ns) == (first.duration_ns, REJECTED)
    events = list(accept_events(guest.trace.records))
    assert sum(event.duration_ns for event in events) == guest.td.clock.now_ns
    assert sum(event.accepted_bytes for event in events) == guest.td.accepted_bytes
