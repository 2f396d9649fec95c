"""The map over time agrees with the machine's own at the end, whatever happened on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.history.map_changes import map_after, map_changes
from tdvfsh.history.painted_map import ACCEPTED_ONLY, PaintedMap, type_label
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import LOADER_NAMES, TdOptions
from tdvfsh.report.trace_file import trace_of_boot, trace_of_machine
from tdvfsh.uefi.guids import EDKII_MEMORY_ACCEPT_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.units import GIB, MIB
from tests.boots.made_files import INSTALLER_INITRD, Opener

_OPTIONS = TdOptions(memory=2 * GIB, accept=parse_boot_accept("240M"))
_CONVENTIONAL, _UNACCEPTED = 7, 15


@pytest.mark.parametrize("loader", LOADER_NAMES)
@pytest.mark.parametrize("on_demand", ON_DEMAND_NAMES)
def test_the_last_map_of_a_boot_is_the_one_that_the_kernel_got(opened: Opener, loader: str, on_demand: str) -> None:
    files = opened(INSTALLER_INITRD)
    result = boot(replace(_OPTIONS, loader=loader, on_demand=on_demand), files.boot)
    trace = trace_of_boot(result)
    changes = map_changes(trace.memory_map, trace.records)
    assert list(map_after(trace.memory_map, changes, len(trace.records))) == list(PaintedMap(result.memory_map))


def test_every_moment_of_a_boot_by_hand_agrees_with_get_memory_map() -> None:
    machine = Machine(_OPTIONS)
    services = machine.services
    seen = []
    any_pages = EfiAllocateType.AllocateAnyPages
    pages = services.allocate_pages(any_pages, EfiMemoryType.EfiLoaderData, 700, 0)
    seen.append((len(machine.trace) - 1, list(PaintedMap(services.memory_map_view().descriptors))))
    small = [services.allocate_pool(EfiMemoryType.EfiLoaderCode, 900).buffer or 0 for _ in range(6)]
    runtime = services.allocate_pages(any_pages, EfiMemoryType.EfiRuntimeServicesData, 3, 0)
    seen.append((len(machine.trace) - 1, list(PaintedMap(services.memory_map_view().descriptors))))
    services.accept_memory(256 * MIB, 64 * MIB)
    seen.append((len(machine.trace) - 1, list(PaintedMap(services.memory_map_view().descriptors))))
    for buffer in small:
        services.free_pool(buffer)
    services.free_pages(runtime.memory, 3)
    services.free_pages(pages.memory, 300)
    seen.append((len(machine.trace) - 1, list(PaintedMap(services.memory_map_view().descriptors))))
    trace = trace_of_machine(machine)
    changes = map_changes(trace.memory_map, trace.records)
    assert [list(map_after(trace.memory_map, changes, number)) for number, _ in seen] == [pieces for _, pieces in seen]


def test_an_allocation_that_accepts_first_is_there_after_the_accept() -> None:
    machine = Machine(replace(_OPTIONS, on_demand="allocator"))
    got = machine.services.allocate_pages(EfiAllocateType.AllocateAnyPages, EfiMemoryType.EfiLoaderData, 100_000, 0)
    trace = trace_of_machine(machine)
    changes = map_changes(trace.memory_map, trace.records)
    last = map_after(trace.memory_map, changes, len(trace.records))
    assert last.at(got.memory) == EfiMemoryType.EfiLoaderData
    assert [type_label(change.memory_type) for change in changes] == ["Available", "LoaderData"]
    assert changes[1].cause < changes[1].after == len(trace.records) - 1


def test_the_protocol_by_hand_accepts_but_the_map_does_not_learn_of_it() -> None:
    machine = Machine(_OPTIONS)
    protocol = machine.services.handles.locate_protocol(EDKII_MEMORY_ACCEPT_PROTOCOL_GUID).interface
    protocol.accept_memory(512 * MIB, 4 * MIB)  # type: ignore[attr-defined]
    machine.services.accept_memory(514 * MIB, 4 * MIB)
    trace = trace_of_machine(machine)
    last = map_after(trace.memory_map, map_changes(trace.memory_map, trace.records), len(trace.records))
    assert [last.at(address * MIB) for address in (511, 512, 514, 517, 518)] == [
        _UNACCEPTED, ACCEPTED_ONLY, _CONVENTIONAL, _CONVENTIONAL, _UNACCEPTED,
    ]  # fmt: skip
