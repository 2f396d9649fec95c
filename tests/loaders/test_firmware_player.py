"""Firmware's own calls come to the same whether they are made or found among those that were made before."""

from __future__ import annotations

import pytest

from tdvfsh.loaders import firmware_player
from tdvfsh.loaders.firmware_player import FirmwarePlayer
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.td.firmware_calls import FirmwareCall, FirmwareCalls
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_MEMORY_MAP_CHANGE
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import GIB

_CALLS = FirmwareCalls(
    [
        *[FirmwareCall(memory_type=EfiMemoryType.EfiBootServicesData, pages=pages) for pages in (4, 1, 9, 1, 7, 3)],
        FirmwareCall(frees=0, pages=2, offset=1),
        FirmwareCall(memory_type=EfiMemoryType.EfiBootServicesCode, pages=2, maximum=0x7FFFFFF),
        FirmwareCall(memory_type=EfiMemoryType.EfiRuntimeServicesData, pages=2),
        FirmwareCall(do="image"),
        FirmwareCall(frees=2, pages=9),
        *[FirmwareCall(memory_type=EfiMemoryType.EfiACPIMemoryNVS, pages=pages) for pages in range(1, 9)],
    ]
)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware_player, "_known", {})


def _machine(taken: int = 0) -> Machine:
    machine = Machine(TdOptions(memory=1 * GIB))
    for _ in range(taken):
        machine.services.allocate_pages(0, EfiMemoryType.EfiLoaderData, 3, 0)
    return machine


def _played(machine: Machine) -> tuple[object, ...]:
    player = FirmwarePlayer(machine.services, _CALLS)
    player.run_to("image")
    at_mark = len(machine.trace)
    player.run_to_end()
    core = machine.services.core
    journal = [record.as_dict() for record in machine.trace]
    return at_mark, journal, list(core.memory_map), core.memory_map.key, machine.memory_map


def _repeats(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    repeated: list[int] = []
    repeat = FirmwarePlayer._repeat

    def counting(player: FirmwarePlayer, stretch: firmware_player._Stretch) -> None:
        repeated.append(player._next)
        repeat(player, stretch)

    monkeypatch.setattr(FirmwarePlayer, "_repeat", counting)
    return repeated


def test_calls_that_begin_with_the_same_map_are_repeated_and_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = _repeats(monkeypatch)
    first = _played(_machine())
    assert repeated == []
    assert _played(_machine()) == first
    assert repeated == [0, 10]


def test_a_map_that_differs_by_a_page_or_by_its_key_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = _repeats(monkeypatch)
    _played(_machine())
    other = _played(_machine(taken=1))
    again = _machine()
    again.services.core.memory_map.key += 1
    _played(again)
    assert repeated == []
    assert _played(_machine(taken=1)) == other
    assert repeated == [0, 10]


def test_only_the_last_stretches_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware_player, "_MOST_KEPT", 2)
    repeated = _repeats(monkeypatch)
    for taken in (0, 1, 0):
        _played(_machine(taken))
    assert repeated == []
    assert len(firmware_player._known) == 2


def test_what_is_allocated_after_a_repetition_does_not_reach_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first = _played(_machine())
    second = _machine()
    _played(second)
    for _ in range(5):
        second.services.allocate_pages(0, EfiMemoryType.EfiBootServicesData, 2, 0)
    assert _played(_machine()) == first


def test_where_somebody_hears_of_it_or_a_call_fails_on_purpose_every_call_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repeated = _repeats(monkeypatch)
    _played(_machine())
    heard = _machine()
    changes: list[int] = []
    heard.services.create_event(lambda: changes.append(1), EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
    _played(heard)
    assert len(changes) == len(_CALLS) - 1
    faulty = Machine(TdOptions(memory=1 * GIB, fault=("AllocatePages:2=OUT_OF_RESOURCES",)))
    _played(faulty)
    protected = Machine(TdOptions(memory=1 * GIB, protect="strict"))
    _played(protected)
    assert repeated == []


def test_a_stretch_in_which_something_failed_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = _repeats(monkeypatch)
    calls = FirmwareCalls([*_CALLS[:9], FirmwareCall(memory_type=EfiMemoryType.EfiBootServicesData, pages=1 << 30)])
    for _ in range(2):
        FirmwarePlayer(_machine().services, calls).run_to_end()
    assert repeated == []
