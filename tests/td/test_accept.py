from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.td.accept import (
    AcceptOutcome,
    accept_memory_resource,
    split_for_accept,
    td_accept_pages,
)
from tdvfsh.td.added import added_spans
from tdvfsh.td.faults import FaultPlan
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.tdx import SeptLevel, SeptState, TdcallStatus
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE, TIB

SMALL_RAM = RamLayout(8 * MIB + 5 * PAGE_SIZE, AddressSpan(0, 8 * MIB + 5 * PAGE_SIZE), None)


def _td(host_page_size: int = LARGE_PAGE_SIZE, memory: int = 4 * GIB) -> TrustDomain:
    return TrustDomain(RamLayout.q35(memory), host_page_size=host_page_size)


def test_2_mib_on_a_host_of_4_kib_pages_is_513_tdcalls() -> None:
    outcome = td_accept_pages(_td(PAGE_SIZE), 0, 1, LARGE_PAGE_SIZE)
    assert outcome == AcceptOutcome(pages_4k=512, calls=513, size_mismatches=1, td_exits=512)


def test_4_mib_on_a_host_of_4_kib_pages_is_1024_td_exits() -> None:
    assert td_accept_pages(_td(PAGE_SIZE), 0, 2, LARGE_PAGE_SIZE).td_exits == 1024


def test_the_protocol_accepts_exactly_2_mib_in_small_pages() -> None:
    outcome = accept_memory_resource(_td(), 0, 2 * MIB)
    assert (outcome.pages_2m, outcome.pages_4k, outcome.calls) == (0, 512, 512)


def test_the_protocol_accepts_2_mib_and_4_kib_as_one_large_and_one_small_page() -> None:
    outcome = accept_memory_resource(_td(), 0, 2 * MIB + PAGE_SIZE)
    assert (outcome.pages_2m, outcome.pages_4k, outcome.calls) == (1, 1, 2)


def test_the_protocol_of_2021_knows_small_pages_only() -> None:
    outcome = accept_memory_resource(_td(), 0, 64 * MIB, large_pages=False)
    assert (outcome.pages_2m, outcome.pages_4k) == (0, 16384)


def test_size_0_is_a_success_that_does_nothing() -> None:
    assert accept_memory_resource(_td(), PAGE_SIZE, 0) == AcceptOutcome()


def test_bytes_after_the_last_whole_page_are_silently_not_accepted() -> None:
    td = _td()
    outcome = accept_memory_resource(td, 0, PAGE_SIZE + 100)
    assert outcome.status is EfiStatus.EFI_SUCCESS
    assert td.accepted_bytes == PAGE_SIZE


def test_accepting_twice_is_a_warning_and_a_success() -> None:
    td = _td()
    accept_memory_resource(td, 0, 64 * MIB)
    again = accept_memory_resource(td, 0, 64 * MIB)
    assert again == AcceptOutcome(calls=32, already_accepted=32)
    assert (again.accepted_bytes, td.accepted_bytes) == (0, 64 * MIB)


@pytest.mark.parametrize(("start", "page_size"), [(1, PAGE_SIZE), (1 << 52, PAGE_SIZE), (0, 8192), (0, GIB)])
def test_td_accept_pages_refuses_what_edk2_refuses_before_any_tdcall(start: int, page_size: int) -> None:
    td = _td()
    assert td_accept_pages(td, start, 1, page_size).status is EfiStatus.EFI_INVALID_PARAMETER
    assert td.tdcall.calls == 0


def test_a_misaligned_large_page_fails_in_the_tdcall() -> None:
    outcome = td_accept_pages(_td(), PAGE_SIZE, 3, LARGE_PAGE_SIZE)
    assert (outcome.status, outcome.calls) == (EfiStatus.EFI_INVALID_PARAMETER, 1)
    assert (outcome.completion_name, outcome.stopped_at) == ("OPERAND_INVALID", PAGE_SIZE)


def test_what_came_before_a_failure_stays_accepted() -> None:
    td = _td(memory=128 * MIB)
    outcome = accept_memory_resource(td, 126 * MIB - PAGE_SIZE, 8 * MIB)
    assert outcome.status is EfiStatus.EFI_INVALID_PARAMETER
    assert (outcome.completion_name, outcome.stopped_at) == ("NOT_RETURNED", 128 * MIB)
    assert td.accepted_bytes == outcome.accepted_bytes == 2 * MIB + PAGE_SIZE
    assert outcome.calls == 3


def test_a_ragged_end_of_ram_stops_the_fallback_where_ram_ends() -> None:
    td = TrustDomain(SMALL_RAM)
    outcome = td_accept_pages(td, 8 * MIB, 2, LARGE_PAGE_SIZE)
    assert outcome.status is EfiStatus.EFI_INVALID_PARAMETER
    assert (outcome.pages_4k, outcome.size_mismatches, outcome.stopped_at) == (5, 1, SMALL_RAM.end)
    assert td.accepted_bytes == 5 * PAGE_SIZE


def test_a_plain_vm_has_nothing_to_accept() -> None:
    vm = TrustDomain(RamLayout.q35(4 * GIB), td=False)
    assert accept_memory_resource(vm, 0, GIB).status is EfiStatus.EFI_UNSUPPORTED
    assert (vm.accepted_bytes, vm.unaccepted_bytes, vm.tdcall.calls, vm.added_bytes) == (4 * GIB, 0, 0, 0)


@pytest.mark.parametrize("host_page_size", [PAGE_SIZE, LARGE_PAGE_SIZE])
def test_a_tebibyte_costs_no_more_work_than_a_few_pages(host_page_size: int) -> None:
    large = TrustDomain(RamLayout.q35(2 * TIB), host_page_size=host_page_size)
    small = TrustDomain(RamLayout.q35(2 * TIB), host_page_size=host_page_size)
    outcome = accept_memory_resource(large, 4 * GIB, TIB)
    accept_memory_resource(small, 4 * GIB, PAGE_SIZE)
    assert outcome.accepted_bytes == TIB
    assert large.tdcall.groups <= small.tdcall.groups + 1
    assert len(large.sept) == 1


def test_the_clock_advances_by_the_modelled_cost() -> None:
    td = _td()
    outcome = accept_memory_resource(td, 0, GIB)
    assert td.clock.now_ns == td.cost.nanoseconds(outcome) == 512 * (200_000 + 8_000)


_page = st.integers(0, 2053)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_page, st.integers(1, 1600)), max_size=6), st.sampled_from([PAGE_SIZE, LARGE_PAGE_SIZE]))
def test_bytes_add_up_whatever_is_accepted(requests: list[tuple[int, int]], host_page_size: int) -> None:
    td = TrustDomain(SMALL_RAM, host_page_size=host_page_size, added=[AddressSpan(0x200000, 0x206000)])
    sum_of_outcomes = td.added_bytes
    for first, count in requests:
        outcome = accept_memory_resource(td, first * PAGE_SIZE, count * PAGE_SIZE)
        sum_of_outcomes += outcome.accepted_bytes
        done = outcome.pages_4k + outcome.pages_2m + outcome.already_accepted + outcome.size_mismatches
        assert outcome.calls == done + outcome.status.is_error
        assert outcome.status.is_error == (first + count > 2053)
        end = min((first + count) * PAGE_SIZE, SMALL_RAM.end)
        assert {entry.state for _, _, entry in td.sept.spans(first * PAGE_SIZE, end)} <= {SeptState.MAPPED}
    assert td.accepted_bytes == sum_of_outcomes
    assert td.unaccepted_bytes == SMALL_RAM.memory - sum_of_outcomes


@given(st.integers(0, 4000), st.integers(0, 4000))
def test_the_three_parts_tile_the_request(first: int, count: int) -> None:
    start, size = first * PAGE_SIZE, count * PAGE_SIZE
    parts = split_for_accept(start, size)
    assert sum(part for _, part, _ in parts) == size
    at = start
    for low, part, page_size in parts:
        assert low == at
        assert low % page_size == part % page_size == 0
        at += part
    head = min(size, -start % LARGE_PAGE_SIZE)
    assert any(page_size == LARGE_PAGE_SIZE for _, _, page_size in parts) == (size - head > LARGE_PAGE_SIZE)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 2700),
    st.sampled_from([TdcallStatus.OPERAND_INVALID, TdcallStatus.EPT_WALK_FAILED, TdcallStatus.PAGE_ALREADY_ACCEPTED]),
    st.sampled_from([PAGE_SIZE, LARGE_PAGE_SIZE]),
)
def test_the_nth_tdcall_fails_as_it_would_one_call_at_a_time(number: int, code: TdcallStatus, host_page: int) -> None:
    td = TrustDomain(RamLayout.q35(GIB), host_page_size=host_page)
    td.faults = FaultPlan(tdcalls={number: code})
    outcome = td_accept_pages(td, 0, 5, LARGE_PAGE_SIZE)
    expected = _five_large_pages(number, code, host_page)
    assert (outcome.status.is_error, outcome.calls, outcome.accepted_bytes) == expected
    assert td.accepted_bytes == outcome.accepted_bytes


def _five_large_pages(number: int, code: int, host_page_size: int) -> tuple[bool, int, int]:
    """TdAcceptPages of five 2 MiB pages by hand: failed, TDCALLs, accepted bytes."""
    calls = accepted = 0
    for _ in range(5):
        calls += 1
        if calls == number:
            if code != TdcallStatus.PAGE_ALREADY_ACCEPTED:
                return True, calls, accepted
            continue
        if host_page_size == LARGE_PAGE_SIZE:
            accepted += LARGE_PAGE_SIZE
            continue
        for _ in range(512):
            calls += 1
            if calls == number and code != TdcallStatus.PAGE_ALREADY_ACCEPTED:
                return True, calls, accepted
            accepted += PAGE_SIZE * (calls != number)
    return False, calls, accepted


def test_busy_is_tried_three_times_more() -> None:
    busy = TdcallStatus.OPERAND_BUSY | 1
    td = _td()
    td.faults = FaultPlan(tdcalls=dict.fromkeys((2, 3, 4), busy))
    outcome = td_accept_pages(td, 0, 3, PAGE_SIZE)
    assert (outcome.status, outcome.calls, outcome.busy) == (EfiStatus.EFI_SUCCESS, 6, 3)

    td.faults = FaultPlan(tdcalls=dict.fromkeys(range(8, 12), busy))
    outcome = td_accept_pages(td, GIB, 3, PAGE_SIZE)
    assert (outcome.status, outcome.calls, outcome.busy) == (EfiStatus.EFI_INVALID_PARAMETER, 5, 4)
    assert (outcome.stopped_at, outcome.completion_name) == (GIB + PAGE_SIZE, "OPERAND_BUSY")


def test_retries_count_for_each_page_anew() -> None:
    busy = TdcallStatus.OPERAND_BUSY | 1
    td = _td()
    td.faults = FaultPlan(tdcalls=dict.fromkeys((1, 2, 3, 5, 6, 7), busy))
    assert td_accept_pages(td, 0, 2, PAGE_SIZE).status is EfiStatus.EFI_SUCCESS


def test_a_size_mismatch_of_a_small_page_has_no_smaller_one_to_try() -> None:
    td = _td()
    td.faults = FaultPlan(tdcalls={1: TdcallStatus.PAGE_SIZE_MISMATCH})
    assert td_accept_pages(td, 0, 1, PAGE_SIZE).status is EfiStatus.EFI_INVALID_PARAMETER


def test_an_injected_size_mismatch_of_a_large_page_falls_back() -> None:
    td = _td()
    td.faults = FaultPlan(tdcalls={2: TdcallStatus.PAGE_SIZE_MISMATCH | 1})
    outcome = td_accept_pages(td, 0, 3, LARGE_PAGE_SIZE)
    assert (outcome.pages_2m, outcome.pages_4k, outcome.calls) == (2, 512, 515)


def test_the_nth_accept_request_fails_at_its_first_tdcall() -> None:
    td = _td()
    td.faults = FaultPlan(accepts={2: TdcallStatus.EPT_ENTRY_STATE_INCORRECT, 3: TdcallStatus.OPERAND_BUSY | 1})
    outcomes = [accept_memory_resource(td, index * GIB, GIB) for index in range(3)]
    assert [outcome.status.is_error for outcome in outcomes] == [False, True, True]
    assert [outcome.calls for outcome in outcomes] == [512, 1, 4]
    assert td.accepted_bytes == GIB


def test_a_fault_far_away_costs_few_steps() -> None:
    td = TrustDomain(RamLayout.q35(2 * TIB), host_page_size=PAGE_SIZE)
    td.faults = FaultPlan(tdcalls={200_000_000: TdcallStatus.OPERAND_INVALID})
    outcome = td_accept_pages(td, 4 * GIB, TIB // LARGE_PAGE_SIZE, LARGE_PAGE_SIZE)
    assert (outcome.calls, outcome.completion_name) == (200_000_000, "OPERAND_INVALID")
    assert td.tdcall.groups < 20


def test_pages_that_the_vmm_added_are_accepted_already() -> None:
    td = TrustDomain(RamLayout.q35(4 * GIB), added=added_spans())
    assert td.added_bytes == 0x6000 + 0x2000 + 0x2000 + 0x10000
    outcome = accept_memory_resource(td, 0, 16 * MIB)
    assert outcome.already_accepted == td.added_bytes // PAGE_SIZE
    assert td.accepted_bytes == 16 * MIB


def test_outcomes_add_up_and_keep_the_failure() -> None:
    good = AcceptOutcome(pages_4k=3, calls=3, td_exits=1)
    bad = AcceptOutcome(EfiStatus.EFI_INVALID_PARAMETER, calls=1, stopped_at=0x1000, completion=0xC000010000000001)
    for total in (good + bad, bad + good):
        assert (total.status, total.calls, total.stopped_at) == (EfiStatus.EFI_INVALID_PARAMETER, 4, 0x1000)
        assert total.completion_name == "OPERAND_INVALID"
    assert (good + good).completion_name == "SUCCESS"


def test_a_large_accept_uses_large_leaves() -> None:
    td = _td()
    accept_memory_resource(td, PAGE_SIZE, 8 * MIB)
    levels = {low: entry.level for low, _, entry in td.sept.spans(PAGE_SIZE, 8 * MIB + PAGE_SIZE)}
    assert levels == {
        PAGE_SIZE: SeptLevel.LEVEL_4K,
        2 * MIB: SeptLevel.LEVEL_2M,
        8 * MIB: SeptLevel.LEVEL_4K,
    }
