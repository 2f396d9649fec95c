from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.uefi.tdx import SeptLevel, SeptState, TdcallStatus, completion_name
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE, TIB

from .naive import ALREADY, INVALID, MISMATCH, NOT_RETURNED, PAGES, NaiveSept

K4, M2 = SeptLevel.LEVEL_4K, SeptLevel.LEVEL_2M
REGIONS = 7
# RAM with a ragged end, a hole, and a second span: regions 0-2 whole, 3 in part, 4 none, 5-6 whole
ODD_RAM = RamLayout(
    5 * LARGE_PAGE_SIZE + 3 * PAGE_SIZE,
    AddressSpan(0, 3 * LARGE_PAGE_SIZE + 3 * PAGE_SIZE),
    AddressSpan(5 * LARGE_PAGE_SIZE, 7 * LARGE_PAGE_SIZE),
)
_BLOCK = {SeptState.MAPPED: SeptState.BLOCKED, SeptState.PENDING: SeptState.PENDING_BLOCKED}


class Step(NamedTuple):
    verb: str
    first: int
    pages: int


_near = st.integers(0, REGIONS - 1).flatmap(
    lambda region: st.sampled_from([0, 1, 2, 3, 5, 255, 510, 511]).map(lambda page: region * PAGES + page)
)
_small = st.builds(
    Step,
    st.sampled_from(["add", "aug", "remove", "block", "unblock", "accept 4K"]),
    _near,
    st.sampled_from([1, 2, 3, 509, 512, 513, 1024, 1500]),
)
_large = st.builds(Step, st.sampled_from(["aug 2M", "accept 2M"]), st.integers(0, REGIONS - 1), st.integers(1, REGIONS))


def _singles(naive: NaiveSept, step: Step) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in range(step.first, step.first + step.pages):
        large = step.verb == "accept 2M"
        status = naive.accept_large(index * LARGE_PAGE_SIZE) if large else naive.accept_small(index * PAGE_SIZE)
        if runs and runs[-1][0] == status:
            runs[-1] = (status, runs[-1][1] + 1)
        else:
            runs.append((status, 1))
    return runs


def _change(td: TrustDomain, naive: NaiveSept, step: Step) -> None:
    end = step.first + step.pages
    start_gpa, end_gpa = step.first * PAGE_SIZE, end * PAGE_SIZE
    match step.verb:
        case "add":
            td.sept.add(start_gpa, end_gpa)
            naive.put_small(step.first, end, SeptState.MAPPED)
        case "aug":
            td.sept.aug(start_gpa, end_gpa)
            naive.put_small(step.first, end, SeptState.PENDING)
        case "aug 2M":
            td.sept.aug(step.first * LARGE_PAGE_SIZE, end * LARGE_PAGE_SIZE, M2)
            naive.put_large(step.first, end, SeptState.PENDING)
        case "remove":
            td.sept.remove(start_gpa, end_gpa)
            naive.remove(step.first, end)
        case "block":
            td.sept.block(start_gpa, end_gpa)
            naive.restate(step.first, end, _BLOCK)
        case "unblock":
            td.sept.unblock(start_gpa, end_gpa)
            naive.restate(step.first, end, {after: before for before, after in _BLOCK.items()})


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(_small, _large), max_size=10), st.sampled_from([PAGE_SIZE, LARGE_PAGE_SIZE]))
def test_runs_on_ranges_equal_single_calls_page_by_page(steps: list[Step], host_page_size: int) -> None:
    td = TrustDomain(ODD_RAM, host_page_size=host_page_size)
    naive = NaiveSept(ODD_RAM, REGIONS, host_page_size)
    for step in steps:
        last = REGIONS if "2M" in step.verb else REGIONS * PAGES
        step = step._replace(pages=min(step.pages, last - step.first))
        if step.verb.startswith("accept"):
            size, level = (LARGE_PAGE_SIZE, M2) if step.verb == "accept 2M" else (PAGE_SIZE, K4)
            assert td.tdcall.accept_run(step.first * size, step.pages, level) == _singles(naive, step)
        else:
            _change(td, naive, step)
        assert td.tdcall.exits == naive.exits
    states = [naive.state(page) for page in range(REGIONS * PAGES)]
    tiled = list(td.sept.spans(0, REGIONS * LARGE_PAGE_SIZE))
    assert [entry.state for low, high, entry in tiled for _ in range((high - low) // PAGE_SIZE)] == states
    for state in (SeptState.PENDING, SeptState.MAPPED, SeptState.BLOCKED, SeptState.PENDING_BLOCKED):
        assert td.sept.bytes_in(state) == states.count(state) * PAGE_SIZE
    for page in range(0, REGIONS * PAGES, 51):
        assert td.sept.state(page * PAGE_SIZE) is states[page]


def test_accepting_a_small_page_of_a_blocked_large_leaf_unblocks_all_of_it() -> None:
    td = TrustDomain(ODD_RAM, host_page_size=PAGE_SIZE)
    td.sept.aug(0, LARGE_PAGE_SIZE, M2)
    td.sept.block(0, LARGE_PAGE_SIZE)
    assert td.tdcall.accept_page(0, K4).status == TdcallStatus.SUCCESS
    assert td.sept.state(0) is SeptState.MAPPED
    assert td.sept.state(PAGE_SIZE) is SeptState.PENDING


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(_small, _large), max_size=6), st.sampled_from([PAGE_SIZE, LARGE_PAGE_SIZE]))
def test_one_run_equals_the_same_calls_one_at_a_time(steps: list[Step], host_page_size: int) -> None:
    at_once = TrustDomain(ODD_RAM, host_page_size=host_page_size)
    one_by_one = TrustDomain(ODD_RAM, host_page_size=host_page_size)
    for step in steps:
        if not step.verb.startswith("accept"):
            continue
        level = M2 if step.verb == "accept 2M" else K4
        start = step.first * level.page_size
        runs = at_once.tdcall.accept_run(start, step.pages, level)
        singles = [one_by_one.tdcall.accept_page(start + i * level.page_size, level) for i in range(step.pages)]
        assert [status for status, count in runs for _ in range(count)] == [single.status for single in singles]
    assert at_once.tdcall.calls == one_by_one.tdcall.calls
    assert at_once.tdcall.exits == one_by_one.tdcall.exits
    assert list(at_once.sept.spans()) == list(one_by_one.sept.spans())


def test_accepting_twice_is_a_warning_with_the_level() -> None:
    td = TrustDomain(RamLayout.q35(GIB))
    assert td.tdcall.accept_page(0, M2) == (TdcallStatus.SUCCESS, 1)
    again = td.tdcall.accept_page(0, M2)
    assert again == (ALREADY | 1, 0)
    assert again.name == "PAGE_ALREADY_ACCEPTED"
    assert td.tdcall.accept_page(PAGE_SIZE, K4).status == ALREADY | 1
    td.tdcall.accept_page(LARGE_PAGE_SIZE, K4)
    assert td.tdcall.accept_page(LARGE_PAGE_SIZE, K4).status == ALREADY


def test_2_mib_over_a_4_kib_mapping_is_a_size_mismatch() -> None:
    td = TrustDomain(RamLayout.q35(GIB), added=[AddressSpan(0x800000, 0x806000)])
    assert td.tdcall.accept_page(0x800000, M2) == (MISMATCH | 1, 0)


def test_a_host_of_4_kib_pages_answers_2_mib_with_one_page_and_a_mismatch() -> None:
    td = TrustDomain(RamLayout.q35(GIB), host_page_size=PAGE_SIZE)
    assert td.tdcall.accept_page(0, M2) == (MISMATCH | 1, 1)
    assert td.pending_bytes == PAGE_SIZE
    assert [td.sept.state(gpa) for gpa in (0, PAGE_SIZE)] == [SeptState.PENDING, SeptState.FREE]


def test_4_kib_inside_a_larger_pending_leaf_is_demoted_once() -> None:
    td = TrustDomain(RamLayout.q35(GIB))
    td.sept.aug(0, LARGE_PAGE_SIZE, M2)
    assert td.tdcall.accept_page(PAGE_SIZE, K4) == (0, 1)
    assert td.tdcall.accept_page(0, K4) == (0, 0)


@pytest.mark.parametrize(
    "rcx",
    [
        0x2,  # 1 GiB
        0x7,  # no such level
        0x8,  # reserved
        0x1000 | 1,  # 2 MiB, misaligned
        1 << 52,
        1 << 47,  # the shared bit
        1 << 63,
    ],
)
def test_operands_that_cannot_be_are_invalid_and_name_rcx(rcx: int) -> None:
    td = TrustDomain(RamLayout.q35(GIB))
    result = td.tdcall.tdcall(rcx)
    assert result.status == INVALID == 0xC000010000000001
    assert (result.exits, td.accepted_bytes) == (0, 0)


def test_the_shared_bit_follows_the_gpaw() -> None:
    wide = TrustDomain(RamLayout.q35(GIB), gpaw=52)
    assert wide.shared_mask == 1 << 51
    assert wide.tdcall.tdcall(1 << 51).status == INVALID
    assert wide.tdcall.tdcall(1 << 47).name == "NOT_RETURNED"


def test_a_run_past_the_shared_bit_turns_invalid() -> None:
    td = TrustDomain(RamLayout.q35(GIB))
    assert td.tdcall.accept_run((1 << 47) - 2 * PAGE_SIZE, 5, K4) == [(NOT_RETURNED, 2), (INVALID, 3)]


def test_a_run_can_stop_at_the_first_call_that_its_caller_refuses() -> None:
    td = TrustDomain(RamLayout.q35(GIB), added=[AddressSpan(8 * MIB, 8 * MIB + 4 * PAGE_SIZE)])
    runs = td.tdcall.accept_run(8 * MIB - 2 * PAGE_SIZE, 20, K4, lambda status: status == 0)
    assert runs == [(0, 2), (ALREADY, 1)]
    assert td.tdcall.calls == 3


@pytest.mark.parametrize("host_page_size", [PAGE_SIZE, LARGE_PAGE_SIZE])
@pytest.mark.parametrize("level", [K4, M2])
def test_a_run_of_a_tebibyte_takes_as_many_steps_as_one_of_a_page(host_page_size: int, level: SeptLevel) -> None:
    td = TrustDomain(RamLayout.q35(2 * TIB), host_page_size=host_page_size)
    td.tdcall.accept_run(4 * GIB, TIB // level.page_size, level)
    assert td.tdcall.calls == TIB // level.page_size
    assert td.tdcall.groups == 1
    assert len(td.sept) == 1


def test_names_of_completions_ignore_operands_and_fall_back_to_numbers() -> None:
    assert completion_name(INVALID) == "OPERAND_INVALID"
    assert completion_name(0x1234500000000) == "0x1234500000000"


def test_4_kib_inside_a_larger_blocked_pending_leaf_takes_an_unblock_and_a_demotion() -> None:
    td = TrustDomain(RamLayout.q35(GIB))
    td.sept.aug(0, 2 * LARGE_PAGE_SIZE, M2)
    td.sept.block(0, 2 * LARGE_PAGE_SIZE)
    assert td.tdcall.accept_page(PAGE_SIZE, K4) == (0, 2)
    assert td.tdcall.accept_run(LARGE_PAGE_SIZE, PAGES, K4) == [(0, PAGES)]
    assert td.tdcall.exits == 4


def test_a_blocked_leaf_is_accepted_already_once_the_vmm_unblocks_it() -> None:
    td = TrustDomain(RamLayout.q35(GIB))
    td.tdcall.accept_run(0, 2, M2)
    td.sept.block(0, 2 * LARGE_PAGE_SIZE)
    assert td.tdcall.accept_page(PAGE_SIZE, K4) == (ALREADY | 1, 1)
    assert td.tdcall.accept_page(LARGE_PAGE_SIZE, M2) == (ALREADY | 1, 1)
    assert td.sept.bytes_in(SeptState.BLOCKED) == 0
