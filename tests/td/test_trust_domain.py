from __future__ import annotations

import pytest

from tdvfsh.td.accept import accept_memory_resource
from tdvfsh.td.access import AccessKind, access
from tdvfsh.td.faults import FaultPlan
from tdvfsh.td.mapgpa import set_memory_shared
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.sept import SecureEpt
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.uefi.tdx import SEPT_VE_DISABLE, SeptLevel, SeptState, TdcallStatus
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE


def _td(sept_ve_disable: bool = True) -> TrustDomain:
    return TrustDomain(RamLayout.q35(GIB), sept_ve_disable=sept_ve_disable)


def test_a_snapshot_does_not_see_what_comes_after() -> None:
    td = _td()
    td.faults = FaultPlan(tdcalls={10_000: TdcallStatus.OPERAND_INVALID})
    accept_memory_resource(td, 0, 16 * MIB)
    td.contents.write(0, b"before")
    snapshot = td.copy()
    accept_memory_resource(td, 16 * MIB, 16 * MIB)
    td.contents.write(0, b"after!")
    set_memory_shared(td, 0, LARGE_PAGE_SIZE)
    assert isinstance(td.faults, FaultPlan)
    td.faults.tdcalls.clear()
    assert snapshot.accepted_bytes == 16 * MIB
    assert snapshot.contents.read(0, 6) == b"before"
    assert (snapshot.shared_bytes, snapshot.tdcall.calls, snapshot.accepts) == (0, 8, 1)
    assert snapshot.clock.now_ns < td.clock.now_ns
    assert snapshot.faults == FaultPlan(tdcalls={10_000: TdcallStatus.OPERAND_INVALID})


def test_a_snapshot_goes_on_as_the_original_would() -> None:
    td = _td()
    accept_memory_resource(td, 0, 16 * MIB)
    twin = td.copy()
    outcomes = [accept_memory_resource(each, 15 * MIB, 64 * MIB) for each in (td, twin)]
    assert outcomes[0] == outcomes[1]
    assert list(td.sept.spans()) == list(twin.sept.spans())
    assert (td.clock, td.tdcall.calls) == (twin.clock, twin.tdcall.calls)
    set_memory_shared(twin, 0, PAGE_SIZE)
    accept_memory_resource(twin, 0, PAGE_SIZE)
    assert twin.shared_bytes == 0


def test_attributes_carry_sept_ve_disable() -> None:
    assert _td().attributes == SEPT_VE_DISABLE == 0x10000000
    assert _td(sept_ve_disable=False).attributes == 0


def test_accepted_memory_can_be_touched() -> None:
    td = _td()
    accept_memory_resource(td, 0, 16 * MIB)
    assert access(td, 0, 16 * MIB) == (AccessKind.OK, None)


def test_touching_unaccepted_memory_ends_the_td_or_raises_ve() -> None:
    for td, kind in (
        (_td(), AccessKind.TD_TERMINATED),
        (_td(sept_ve_disable=False), AccessKind.VIRTUALIZATION_EXCEPTION),
    ):
        accept_memory_resource(td, 0, 16 * MIB)
        assert access(td, 15 * MIB, 17 * MIB) == (kind, 16 * MIB)


def test_a_touched_page_is_backed_with_the_hosts_page_size_and_pending() -> None:
    td = _td(sept_ve_disable=False)
    before = td.tdcall.exits
    access(td, 16 * MIB + PAGE_SIZE, 16 * MIB + 2 * PAGE_SIZE)
    assert td.sept.entry(16 * MIB) == (SeptState.PENDING, SeptLevel.LEVEL_2M)
    assert (td.pending_bytes, td.tdcall.exits - before) == (LARGE_PAGE_SIZE, 1)
    small = TrustDomain(RamLayout.q35(GIB), host_page_size=PAGE_SIZE, sept_ve_disable=False)
    access(small, 16 * MIB + PAGE_SIZE, 16 * MIB + 2 * PAGE_SIZE)
    assert small.pending_bytes == PAGE_SIZE


def test_touching_a_hole_ends_the_td() -> None:
    assert access(_td(sept_ve_disable=False), GIB, GIB + 1) == (AccessKind.TD_TERMINATED, GIB)


def test_a_blocked_page_is_unblocked_when_touched() -> None:
    td = _td()
    accept_memory_resource(td, 0, 16 * MIB)
    td.sept.block(4 * MIB, 6 * MIB)
    assert td.accepted_bytes == 16 * MIB
    assert access(td, 0, 16 * MIB).kind is AccessKind.OK
    assert td.sept.bytes_in(SeptState.BLOCKED) == 0


def test_spans_show_the_pages_behind_a_failed_large_fault() -> None:
    sept = SecureEpt(PAGE_SIZE)
    sept.fault_tables(0, 2 * LARGE_PAGE_SIZE)
    assert [(low, high, entry.state) for low, high, entry in sept.spans(0, 2 * LARGE_PAGE_SIZE + PAGE_SIZE)] == [
        (0, PAGE_SIZE, SeptState.PENDING),
        (PAGE_SIZE, LARGE_PAGE_SIZE, SeptState.FREE),
        (LARGE_PAGE_SIZE, LARGE_PAGE_SIZE + PAGE_SIZE, SeptState.PENDING),
        (LARGE_PAGE_SIZE + PAGE_SIZE, 2 * LARGE_PAGE_SIZE, SeptState.FREE),
        (2 * LARGE_PAGE_SIZE, 2 * LARGE_PAGE_SIZE + PAGE_SIZE, SeptState.FREE),
    ]
    assert next(sept.spans(PAGE_SIZE // 2, LARGE_PAGE_SIZE))[:2] == (PAGE_SIZE // 2, PAGE_SIZE)


@pytest.mark.parametrize("state", [SeptState.FREE, SeptState.NL_MAPPED])
def test_free_pages_and_tables_are_not_counted(state: SeptState) -> None:
    sept = SecureEpt(PAGE_SIZE)
    sept.fault_tables(0, LARGE_PAGE_SIZE)
    assert sept.bytes_in(state) == 0


def test_added_pages_are_accepted_from_the_start() -> None:
    td = TrustDomain(RamLayout.q35(GIB), added=[AddressSpan(0x800000, 0x806000)])
    assert (td.accepted_bytes, td.unaccepted_bytes) == (0x6000, GIB - 0x6000)


def test_a_touched_page_in_a_table_is_backed_alone() -> None:
    td = _td(sept_ve_disable=False)
    accept_memory_resource(td, 0, PAGE_SIZE)
    access(td, PAGE_SIZE, 2 * PAGE_SIZE)
    assert td.pending_bytes == PAGE_SIZE
    assert td.sept.entry(PAGE_SIZE) == (SeptState.PENDING, SeptLevel.LEVEL_4K)
