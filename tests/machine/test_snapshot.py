"""Snapshots: back to a moment, to the byte, at a cost that does not know how much RAM there is."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.dxe.accept_protocol import TdxMemoryAccept
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.machine.faults import parse_fault, set_faults
from tdvfsh.machine.snapshot import MachineSnapshot, same
from tdvfsh.td.mapgpa import set_memory_shared
from tdvfsh.uefi.guids import EDKII_MEMORY_ACCEPT_PROTOCOL_GUID, EFI_DEVICE_PATH_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, MIB, TIB

Step = Callable[[Machine, int], object]


def _free_something(machine: Machine, number: int) -> object:
    mapped = [entry for entry in machine.services.core.memory_map if entry.memory_type == EfiMemoryType.EfiLoaderData]
    if not mapped:
        return None
    return machine.services.free_pages(mapped[number % len(mapped)].start, 1)


STEPS: tuple[Step, ...] = (
    lambda machine, number: machine.services.allocate_pages(0, 2, number % 64 + 1, 0),
    lambda machine, number: machine.services.allocate_pool(2 + number % 5, number * 37 % 5000),
    lambda machine, number: machine.services.allocate_pool(6, 100 + number),
    lambda machine, number: machine.services.accept_memory(512 * MIB + number * 2 * MIB, 2 * MIB),
    lambda machine, number: machine.services.handles.install_protocol_interface(
        None, EFI_DEVICE_PATH_PROTOCOL_GUID, number
    ),
    lambda machine, number: machine.services.get_memory_map(1 << 16),
    lambda machine, number: machine.services.create_event(),
    lambda machine, number: machine.td.contents.write(0x1000 * number, b"abc"),
    lambda machine, number: set_memory_shared(machine.td, 768 * MIB + number * 4096, 4096),
    lambda machine, number: machine.services.install_configuration_table(EFI_DEVICE_PATH_PROTOCOL_GUID, number),
    lambda machine, number: set_faults(machine, [parse_fault("AllocatePages:2=EFI_NOT_FOUND")]),
    _free_something,
)
SEQUENCES = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 50)), max_size=12)


def _play(machine: Machine, steps: list[tuple[Step, int]]) -> list[object]:
    return [step(machine, number) for step, number in steps]


def _equal(machine: Machine, snapshot: MachineSnapshot) -> bool:
    return machine.snapshot(snapshot) is snapshot or (
        same(machine.td.sept, snapshot.td.sept)
        and same(machine.td.contents, snapshot.td.contents)
        and same(machine.services.core.memory_map, snapshot.core.memory_map)
        and same(machine.services.core.pool, snapshot.core.pool)
        and same(machine.services.gcd, snapshot.core.gcd)
        and same(machine.services.handles, snapshot.core.handles)
        and machine.clock.now_ns == snapshot.now_ns
        and len(machine.trace) == snapshot.record_count
    )


@settings(deadline=None, max_examples=60)
@given(SEQUENCES, SEQUENCES, SEQUENCES)
def test_after_a_restore_the_machine_goes_on_as_if_the_time_between_had_not_been(
    first: list[tuple[Step, int]], between: list[tuple[Step, int]], after: list[tuple[Step, int]]
) -> None:
    options = TdOptions(memory=2 * GIB)
    straight = Machine(options)
    _play(straight, first)
    expected = _play(straight, after)
    machine = Machine(options)
    _play(machine, first)
    snapshot = machine.snapshot()
    _play(machine, between)
    machine.restore(snapshot)
    assert _equal(machine, snapshot)
    assert _play(machine, after) == expected
    assert machine.services.memory_map_view() == straight.services.memory_map_view()
    assert machine.clock.now_ns == straight.clock.now_ns
    assert [record.as_dict() for record in machine.trace] == [record.as_dict() for record in straight.trace]


@settings(deadline=None, max_examples=40)
@given(st.lists(SEQUENCES, min_size=2, max_size=5), st.data())
def test_snapshots_that_share_their_parts_do_not_disturb_each_other(
    parts: list[list[tuple[Step, int]]], data: st.DataObject
) -> None:
    machine = Machine(TdOptions(memory=1 * GIB))
    snapshots: list[MachineSnapshot] = []
    views = []
    for steps in parts:
        _play(machine, steps)
        snapshots.append(machine.snapshot(snapshots[-1] if snapshots else None))
        views.append(machine.services.memory_map_view())
    for number in data.draw(st.permutations(range(len(parts)))):
        machine.restore(snapshots[number])
        assert machine.services.memory_map_view() == views[number]
        assert _equal(machine, snapshots[number])
        machine.services.allocate_pages(0, 2, 1, 0)  # what comes next must not leak into any of them


def test_the_objects_that_others_hold_stay_the_same() -> None:
    machine = Machine(TdOptions())
    snapshot = machine.snapshot()
    held = machine.td, machine.services, machine.clock, machine.trace
    machine.services.accept_memory(512 * MIB, 2 * MIB)
    machine.restore(snapshot)
    assert held == (machine.td, machine.services, machine.clock, machine.trace)
    interface = machine.services.handles.locate_protocol(EDKII_MEMORY_ACCEPT_PROTOCOL_GUID).interface
    assert isinstance(interface, TdxMemoryAccept)
    assert interface.last_outcome is None
    assert machine.services.accept_memory(512 * MIB, 2 * MIB) is SUCCESS
    assert machine.td.accepted_bytes == machine.boot_bytes + 2 * MIB


def test_a_view_of_the_memory_map_does_not_outlive_the_restore() -> None:
    """Keys count on from the same number, so a view that is remembered by its key would be another state's."""
    machine = Machine(TdOptions())
    snapshot = machine.snapshot()
    machine.services.allocate_pages(0, 2, 5, 0)
    one = machine.services.memory_map_view()
    machine.restore(snapshot)
    machine.services.allocate_pages(0, 2, 9, 0)
    assert machine.services.memory_map_view() != one


def test_an_image_that_was_started_since_is_as_before() -> None:
    machine = Machine(TdOptions())
    image = machine.services.images.loaded_image(machine.firmware_image)
    assert image is not None
    image.started = False
    snapshot = machine.snapshot()
    image.started, image.load_options = True, "x"
    machine.restore(snapshot)
    assert (image.started, image.load_options) == (False, "")


def test_leaving_boot_services_can_be_taken_back() -> None:
    machine = Machine(TdOptions())
    snapshot = machine.snapshot()
    key = machine.services.get_memory_map(1 << 16).map_key
    assert key is not None
    assert machine.services.exit_boot_services(machine.firmware_image, key) is SUCCESS
    assert machine.services.allocate_pages(0, 2, 1, 0).status is EfiStatus.EFI_UNSUPPORTED
    machine.restore(snapshot)
    assert machine.services.allocate_pages(0, 2, 1, 0).status is SUCCESS


def test_a_snapshot_of_an_unchanged_machine_is_the_one_before() -> None:
    machine = Machine(TdOptions())
    snapshot = machine.snapshot()
    assert machine.snapshot(snapshot) is snapshot
    machine.services.allocate_pool(4, 100)
    later = machine.snapshot(snapshot)
    assert later is not snapshot
    assert later.td is snapshot.td
    assert later.core.gcd is snapshot.core.gcd


def _deep_size(snapshot: MachineSnapshot) -> int:
    core, td = snapshot.core, snapshot.td
    return sum(
        sys.getsizeof(getattr(part, name))
        for part in (core.memory_map, core.gcd, td.sept._entries, td.contents._ranges)
        for name in type(part).__slots__
    )


def test_what_a_reader_of_the_secure_ept_was_told_is_no_change_of_the_machine() -> None:
    machine = Machine(TdOptions(memory=1 * GIB))
    first = machine.snapshot()
    machine.td.sept.newly_mapped(object())
    assert machine.snapshot(first) is first
    machine.services.accept_memory(512 << 20, 2 << 20)
    assert machine.snapshot(first) is not first


@pytest.mark.parametrize("memory", [4 * GIB, 64 * TIB])
def test_a_snapshot_holds_ranges_and_not_memory(memory: int) -> None:
    assert _deep_size(Machine(TdOptions(memory=memory)).snapshot()) < 64 << 10
