from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.td.added import added_spans
from tdvfsh.td.cost import NO_TIME
from tdvfsh.td.faults import FaultPlan
from tdvfsh.td.hob import TdHobEntry, td_hob_entries
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.sec import (
    ACCEPT_CHUNK_SIZE,
    EVERYTHING,
    SEC_RULES,
    SecAccept,
    SecRules,
    aps_stack_size,
    chunk_shares,
    sec_accept,
)
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.hob import ResourceType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.tdx import TdcallStatus, completion_name
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE, TIB


def _boot(
    memory: int, vcpus: int = 1, end_address: int = 4 * GIB, rules: SecRules = SEC_RULES
) -> tuple[TrustDomain, SecAccept]:
    td = TrustDomain(RamLayout.q35(memory), vcpus=vcpus, added=added_spans())
    return td, sec_accept(td, td_hob_entries(td.ram, added_spans()), end_address, rules=rules)


def test_edk2_accepts_all_below_4_gib_and_nothing_above() -> None:
    td, sec = _boot(8 * GIB)
    assert sec.outcome.status is EfiStatus.EFI_SUCCESS
    assert td.accepted_bytes == 2 * GIB == sec.outcome.accepted_bytes + td.added_bytes
    assert td.unaccepted_bytes == 6 * GIB
    assert sec.outcome.already_accepted == 0


def test_everything_is_accepted_when_no_address_ends_it() -> None:
    td, sec = _boot(64 * TIB, end_address=EVERYTHING)
    assert td.unaccepted_bytes == 0
    assert sec.outcome.size_mismatches == 0
    assert td.tdcall.groups < 20


def test_one_vcpu_takes_small_pages_up_to_the_first_2_mib_boundary() -> None:
    _, sec = _boot(GIB)
    # [0x806000,0x809000), [0x80D000,0x810000) and [0x820000,0xA00000) are the small ones
    assert sec.outcome.pages_4k == 3 + 3 + 0x1E0
    assert sec.outcome.pages_2m == 4 + (GIB - 10 * MIB) // LARGE_PAGE_SIZE


def test_in_2021_every_page_was_small() -> None:
    _, sec = _boot(GIB, rules=SecRules(large_pages=False))
    assert (sec.outcome.pages_2m, sec.outcome.pages_4k) == (0, (GIB - 0x1A000) // PAGE_SIZE)


def test_an_entry_that_crosses_the_end_address_is_accepted_up_to_it() -> None:
    td, _ = _boot(GIB, end_address=512 * MIB)
    assert td.accepted_bytes == 512 * MIB


@pytest.mark.parametrize(("vcpus", "size"), [(2, 2 * MIB), (128, 2 * MIB), (129, 4 * MIB), (256, 4 * MIB)])
def test_the_stacks_of_the_other_processors_are_whole_large_pages(vcpus: int, size: int) -> None:
    assert aps_stack_size(vcpus) == size


def test_the_boot_processor_accepts_the_first_entry_for_the_stacks_alone() -> None:
    _, sec = _boot(4 * GIB, vcpus=4)
    assert sec.accepted[0] == (0, 0x800000)


def test_entries_too_small_for_the_stacks_are_accepted_on_the_way_and_never_twice() -> None:
    td, sec = _boot(4 * GIB, vcpus=1024)
    # 16 MiB of stacks: [0, 8 MiB) is too small, so are the islands; the rest of low RAM provides its first 16 MiB
    assert sec.accepted[0] == (0, 0x800000)
    assert sec.accepted[3] == (0x820000, 0x820000 + 16 * MIB)
    assert td.accepted_bytes == 2 * GIB
    assert sec.outcome.already_accepted == 0


def test_no_room_for_the_stacks_is_a_failure() -> None:
    td = TrustDomain(RamLayout.q35(128 * MIB), vcpus=8192)
    sec = sec_accept(td, td_hob_entries(td.ram, ()), 4 * GIB, vcpus=16384)
    assert sec.outcome.status is EfiStatus.EFI_INVALID_PARAMETER


@pytest.mark.parametrize("vcpus", [1, 2, 4, 7, 64])
def test_all_vcpus_together_accept_what_one_would(vcpus: int) -> None:
    td, sec = _boot(4 * GIB, vcpus)
    assert td.accepted_bytes == 2 * GIB
    assert sum(sec.accepted_bytes_per_vcpu) == sec.outcome.accepted_bytes
    assert len(sec.accepted_bytes_per_vcpu) == vcpus
    assert all(isinstance(size, int) and size % PAGE_SIZE == 0 for size in sec.accepted_bytes_per_vcpu)
    assert max(sec.accepted_bytes_per_vcpu) - min(sec.accepted_bytes_per_vcpu[1:] or (0,)) <= (
        2 * ACCEPT_CHUNK_SIZE + 10 * MIB if vcpus > 1 else 2 * GIB
    )
    assert sec.seconds == td.clock.seconds


def test_more_vcpus_take_less_modelled_time_but_never_below_the_serial_share() -> None:
    seconds = [_boot(4 * GIB, vcpus)[1].seconds for vcpus in (1, 2, 4, 8, 32)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[-1] > seconds[0] * 0.11


@given(st.integers(1, 300), st.integers(1, 9))
def test_chunks_are_dealt_out_in_turn(large_pages: int, vcpus: int) -> None:
    size = large_pages * LARGE_PAGE_SIZE
    shares = [0] * vcpus
    for index, at in enumerate(range(0, size, ACCEPT_CHUNK_SIZE)):
        shares[index % vcpus] += min(ACCEPT_CHUNK_SIZE, size - at)
    assert chunk_shares(size, vcpus) == shares


def test_a_failed_tdcall_ends_sec() -> None:
    td = TrustDomain(RamLayout.q35(4 * GIB), vcpus=4)
    td.faults = FaultPlan(tdcalls={100: TdcallStatus.OPERAND_INVALID})
    sec = sec_accept(td, td_hob_entries(td.ram, ()), EVERYTHING)
    assert sec.outcome.status is EfiStatus.EFI_INVALID_PARAMETER
    # the stacks are exactly 2 MiB, which edk2 accepts in small pages
    assert td.accepted_bytes == 99 * PAGE_SIZE


@pytest.mark.parametrize(("size", "second_vcpu"), [(32 * MIB, 0), (34 * MIB, 2 * MIB)])
def test_only_more_than_a_chunk_is_worth_waking_the_others(size: int, second_vcpu: int) -> None:
    td = TrustDomain(RamLayout.q35(GIB), vcpus=2)
    entries = [
        TdHobEntry(0, 8 * MIB, ResourceType.MEMORY_UNACCEPTED),
        TdHobEntry(16 * MIB, size, ResourceType.MEMORY_UNACCEPTED),
    ]
    sec = sec_accept(td, entries)
    assert sec.accepted_bytes_per_vcpu == (8 * MIB + size - second_vcpu, second_vcpu)
    assert (sec.parallel.likely > 0) == (second_vcpu > 0)


def test_the_ragged_end_of_a_shared_range_is_the_boot_processors_in_small_pages() -> None:
    td = TrustDomain(RamLayout.q35(GIB), vcpus=2)
    entries = [
        TdHobEntry(0, 8 * MIB, ResourceType.MEMORY_UNACCEPTED),
        TdHobEntry(16 * MIB - PAGE_SIZE, 64 * MIB + 6 * PAGE_SIZE, ResourceType.MEMORY_UNACCEPTED),
    ]
    sec = sec_accept(td, entries)
    assert sec.outcome.pages_4k == 6
    assert sec.accepted_bytes_per_vcpu == (40 * MIB + 6 * PAGE_SIZE, 32 * MIB)


@pytest.mark.parametrize(("memory", "vcpus"), [(2047 * MIB, 2), (2815 * MIB, 4)])
def test_firmware_of_2025_loses_the_odd_mib_that_several_vcpus_share(memory: int, vcpus: int) -> None:
    td, sec = _boot(memory, vcpus, rules=SecRules(loses_ragged_end=True))
    assert sec.lost == ((memory - MIB, memory),)
    assert td.unaccepted_bytes == MIB
    assert sec.outcome.status is EfiStatus.EFI_SUCCESS  # not noticed before something is written there


def test_one_vcpu_or_an_even_size_loses_nothing() -> None:
    rules = SecRules(loses_ragged_end=True)
    assert _boot(2047 * MIB, 1, rules=rules)[1].lost == ()
    assert _boot(2048 * MIB, 4, rules=rules)[1].lost == ()


def test_where_the_boot_processor_works_alone_others_cost_nothing_and_save_nothing() -> None:
    alone = SecRules(boot_processor_alone=True)
    _, one = _boot(2 * GIB, 1, rules=alone)
    _, four = _boot(2 * GIB, 4, rules=alone)
    assert (four.serial, four.parallel) == (one.serial, NO_TIME)
    assert four.accepted_bytes_per_vcpu == (one.accepted_bytes_per_vcpu[0], 0, 0, 0)


@given(st.integers(128, 4096), st.integers(1, 9), st.booleans(), st.booleans())
def test_the_calls_are_what_was_accepted_each_page_once(mib: int, vcpus: int, alone: bool, loses: bool) -> None:
    _, sec = _boot(mib * MIB, vcpus, rules=SecRules(boot_processor_alone=alone, loses_ragged_end=loses))
    sizes = [0] * vcpus
    seen = set()
    for call in sec.accept_calls():
        sizes[call.vcpu] += LARGE_PAGE_SIZE if call.level else PAGE_SIZE
        assert call.address not in seen
        seen.add(call.address)
    assert tuple(sizes) == sec.accepted_bytes_per_vcpu
    assert sum(sizes) == sec.outcome.accepted_bytes


def test_on_a_host_of_small_pages_each_large_accept_is_refused_and_512_small_ones_follow() -> None:
    td = TrustDomain(RamLayout.q35(GIB), vcpus=2, added=added_spans(), host_page_size=PAGE_SIZE)
    sec = sec_accept(td, td_hob_entries(td.ram, added_spans()))
    calls = list(sec.accept_calls())
    refused = [number for number, call in enumerate(calls) if call.status]
    assert len(calls) == sec.outcome.calls
    assert len(refused) == sec.outcome.size_mismatches > 400
    for number in refused:
        assert completion_name(calls[number].status) == "PAGE_SIZE_MISMATCH"
        small = calls[number + 1 : number + 513]
        assert {(call.vcpu, call.level) for call in small} == {(calls[number].vcpu, 0)}
        assert [call.address - calls[number].address for call in small] == list(range(0, LARGE_PAGE_SIZE, PAGE_SIZE))
    assert len(list(sec.accept_runs())) < 2 * len(refused) + 20
