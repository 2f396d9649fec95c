from __future__ import annotations

import pytest

from tdvfsh.td.accept import accept_memory_resource
from tdvfsh.td.faults import FaultPlan
from tdvfsh.td.mapgpa import map_gpa, set_memory_private, set_memory_shared
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.tdx import SeptLevel, SeptState, TdvmcallStatus
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE


def _td(max_map_gpa: int | None = None) -> TrustDomain:
    td = TrustDomain(RamLayout.q35(GIB), max_map_gpa=max_map_gpa)
    accept_memory_resource(td, 0, GIB)
    return td


def test_a_shared_page_loses_its_contents_and_its_acceptance() -> None:
    td = _td()
    td.contents.write(16 * MIB, b"secret")
    assert set_memory_shared(td, 16 * MIB, PAGE_SIZE).status is EfiStatus.EFI_SUCCESS
    assert td.contents.read(16 * MIB, 6) == bytes(6)
    assert td.sept.state(16 * MIB) is SeptState.FREE
    assert (td.shared_bytes, td.accepted_bytes, td.unaccepted_bytes) == (PAGE_SIZE, GIB - PAGE_SIZE, 0)


def test_the_neighbours_of_a_converted_page_become_small_but_stay_accepted() -> None:
    td = _td()
    set_memory_shared(td, 16 * MIB, PAGE_SIZE)
    entry = td.sept.entry(16 * MIB + PAGE_SIZE)
    assert entry == (SeptState.MAPPED, SeptLevel.LEVEL_4K)


def test_back_to_private_the_page_must_be_accepted_again_and_edk2_does() -> None:
    td = _td()
    set_memory_shared(td, 16 * MIB, PAGE_SIZE)
    td.contents.write(16 * MIB, b"public")
    outcome = set_memory_private(td, 16 * MIB, PAGE_SIZE)
    assert (outcome.status, outcome.accept.pages_4k) == (EfiStatus.EFI_SUCCESS, 1)
    assert (td.shared_bytes, td.accepted_bytes) == (0, GIB)
    assert td.contents.read(16 * MIB, 6) == bytes(6)


def test_map_gpa_to_private_alone_leaves_the_page_unaccepted() -> None:
    td = _td()
    map_gpa(td, td.shared_mask | 16 * MIB, LARGE_PAGE_SIZE)
    assert map_gpa(td, 16 * MIB, LARGE_PAGE_SIZE) == (TdvmcallStatus.SUCCESS, 0)
    assert td.unaccepted_bytes == LARGE_PAGE_SIZE


def test_accepting_a_shared_page_makes_it_private_again() -> None:
    td = _td()
    set_memory_shared(td, 16 * MIB, LARGE_PAGE_SIZE)
    accept_memory_resource(td, 16 * MIB, PAGE_SIZE)
    assert (td.shared_bytes, td.accepted_bytes) == (LARGE_PAGE_SIZE - PAGE_SIZE, GIB - LARGE_PAGE_SIZE + PAGE_SIZE)


@pytest.mark.parametrize(("gpa", "size"), [(1, PAGE_SIZE), (0, 100), (0, 0), (0, GIB + PAGE_SIZE)])
def test_a_range_that_leaves_ram_or_is_no_pages_is_an_invalid_operand(gpa: int, size: int) -> None:
    td = _td()
    assert map_gpa(td, gpa | td.shared_mask, size) == (TdvmcallStatus.INVALID_OPERAND, 0)
    assert td.shared_bytes == 0


def test_a_range_without_ram_can_be_made_shared_which_changes_nothing_but_not_private() -> None:
    td = _td()
    assert map_gpa(td, 2 * GIB | td.shared_mask, LARGE_PAGE_SIZE).r10 is TdvmcallStatus.SUCCESS
    assert map_gpa(td, 2 * GIB, LARGE_PAGE_SIZE).r10 is TdvmcallStatus.INVALID_OPERAND
    assert (td.shared_bytes, td.unaccepted_bytes) == (0, 0)


def test_the_vmm_may_stop_early_and_say_where_to_go_on() -> None:
    td = _td(max_map_gpa=3 * PAGE_SIZE)
    answer = map_gpa(td, td.shared_mask | 16 * MIB, LARGE_PAGE_SIZE)
    assert answer == (TdvmcallStatus.RETRY, td.shared_mask | 16 * MIB + 3 * PAGE_SIZE)
    assert td.shared_bytes == 3 * PAGE_SIZE


def test_edk2_goes_by_page_table_entries() -> None:
    td = _td()
    assert set_memory_shared(td, 2 * MIB - PAGE_SIZE, 4 * MIB + 2 * PAGE_SIZE).calls == 1 + 2 + 1


def test_edk2_goes_on_after_retry_until_the_entry_is_done() -> None:
    td = _td(max_map_gpa=MIB)
    outcome = set_memory_shared(td, 16 * MIB, LARGE_PAGE_SIZE)
    assert (outcome.status, outcome.calls, outcome.retries) == (EfiStatus.EFI_SUCCESS, 2, 1)
    assert td.shared_bytes == LARGE_PAGE_SIZE


def test_edk2_accepts_only_what_followed_the_last_retry() -> None:
    td = _td()
    set_memory_shared(td, 16 * MIB, LARGE_PAGE_SIZE)
    td.max_map_gpa = MIB
    outcome = set_memory_private(td, 16 * MIB, LARGE_PAGE_SIZE)
    assert outcome.status is EfiStatus.EFI_SUCCESS
    assert outcome.accept.accepted_bytes == MIB
    assert td.unaccepted_bytes == MIB
    assert td.sept.state(16 * MIB) is SeptState.FREE
    assert td.sept.state(17 * MIB) is SeptState.MAPPED


def test_three_retries_without_progress_are_a_device_error_and_two_are_not() -> None:
    td = _td()
    td.faults = FaultPlan(map_gpas=dict.fromkeys((1, 2, 4, 5, 6), TdvmcallStatus.RETRY))
    assert set_memory_shared(td, 0, PAGE_SIZE).status is EfiStatus.EFI_SUCCESS
    stuck = set_memory_shared(td, 16 * MIB, PAGE_SIZE)
    assert (stuck.status, stuck.calls) == (EfiStatus.EFI_DEVICE_ERROR, 3)


def test_a_refusal_is_a_device_error() -> None:
    td = _td()
    td.faults = FaultPlan(map_gpas={1: TdvmcallStatus.INVALID_OPERAND})
    assert set_memory_shared(td, 0, PAGE_SIZE).status is EfiStatus.EFI_DEVICE_ERROR


def test_size_0_and_plain_vms_have_nothing_to_convert() -> None:
    assert set_memory_shared(_td(), 0, 0).status is EfiStatus.EFI_INVALID_PARAMETER
    vm = TrustDomain(RamLayout.q35(GIB), td=False)
    assert set_memory_private(vm, 0, PAGE_SIZE).status is EfiStatus.EFI_UNSUPPORTED


def test_progress_starts_the_count_of_retries_anew() -> None:
    td = _td(max_map_gpa=MIB)
    td.faults = FaultPlan(map_gpas=dict.fromkeys((1, 2, 4, 5), TdvmcallStatus.RETRY))
    outcome = set_memory_shared(td, 16 * MIB, LARGE_PAGE_SIZE)
    assert (outcome.status, outcome.calls, outcome.retries) == (EfiStatus.EFI_SUCCESS, 6, 5)
