"""Choosing records of a journal."""

from __future__ import annotations

import pytest

from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.trace_filter import of_caller, of_service, of_status, ranges_of, touching, with_descendants
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import TraceRecord
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, MIB, PAGE_SIZE

ANY, MAX, ADDRESS = (EfiAllocateType(number) for number in range(3))
DATA = EfiMemoryType.EfiLoaderData


@pytest.fixture
def machine() -> Machine:
    return Machine(TdOptions(memory=2 * GIB))


def _last(machine: Machine) -> TraceRecord:
    return machine.trace.records[-1]


def test_service_and_caller_are_found_in_any_case(machine: Machine) -> None:
    machine.services.allocate_pages(ANY, DATA, 1)
    record = _last(machine)
    assert of_service("allocatepages")(record)
    assert not of_service("Allocate")(record)
    assert of_caller("SHELL")(record)
    assert not of_caller("stub")(record)


def test_a_status_is_one_or_any_failure(machine: Machine) -> None:
    machine.services.allocate_pages(ANY, DATA, 1 << 30)
    failed = _last(machine)
    assert of_status(None)(failed)
    assert of_status(EfiStatus.EFI_OUT_OF_RESOURCES)(failed)
    assert not of_status(SUCCESS)(failed)
    running = Trace().enter("StartImage")
    assert not of_status(None)(running)


def test_pages_are_a_range_where_they_are_not_where_they_were_asked_for(machine: Machine) -> None:
    start = machine.services.allocate_pages(MAX, DATA, 4, 512 * MIB).memory
    record = _last(machine)
    assert list(ranges_of(record)) == [(start, start + 4 * PAGE_SIZE)]
    assert touching(start + 3 * PAGE_SIZE, start + 8 * PAGE_SIZE)(record)
    assert not touching(start + 4 * PAGE_SIZE, start + 8 * PAGE_SIZE)(record)
    assert not touching(512 * MIB, GIB)(record)


def test_pages_that_were_refused_have_a_place_only_where_the_caller_named_one(machine: Machine) -> None:
    machine.services.allocate_pages(ADDRESS, DATA, 1, 3 * GIB)
    assert list(ranges_of(_last(machine))) == [(3 * GIB, 3 * GIB + PAGE_SIZE)]
    machine.services.allocate_pages(MAX, DATA, 1 << 30, 3 * GIB)
    assert list(ranges_of(_last(machine))) == []


def test_pools_frees_accepts_placements_and_other_calls_are_found_by_their_ranges(machine: Machine) -> None:
    services, trace = machine.services, machine.trace
    buffer = services.allocate_pool(DATA, 100).buffer
    assert buffer is not None
    assert list(ranges_of(_last(machine))) == [(buffer, buffer + 100)]
    services.free_pool(buffer)
    assert touching(buffer, buffer + 1)(_last(machine))
    services.free_pages(MIB, 2)
    assert list(ranges_of(_last(machine))) == [(MIB, MIB + 2 * PAGE_SIZE)]
    services.accept_memory(GIB, 4 * MIB)
    accepts = [record for record in trace if touching(GIB + MIB, GIB + 2 * MIB)(record)]
    assert [record.service for record in accepts] == [
        "AcceptMemory", "EdkiiMemoryAcceptProtocol.AcceptMemory", "TDG.MEM.PAGE.ACCEPT",
    ]  # fmt: skip
    trace.place("kernel", MIB, 3 * MIB, DATA)
    assert list(ranges_of(_last(machine))) == [(MIB, 3 * MIB)]
    trace.note("Any", table=0x1234)
    assert list(ranges_of(_last(machine))) == [(0x1234, 0x1235)]


def test_descendants_are_all_that_a_record_caused_in_the_journal_s_order(machine: Machine) -> None:
    machine.services.allocate_pages(ANY, DATA, 1)
    machine.services.accept_memory(GIB, 4 * MIB)
    machine.services.allocate_pages(ANY, DATA, 1)
    chosen = [record for record in machine.trace if of_service("AcceptMemory")(record)]
    found = with_descendants(machine.trace, chosen)
    first = chosen[0].number
    assert [record.number for record in found] == [first, first + 1, first + 2]
