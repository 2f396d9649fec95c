"""The steps of a boot, and what was placed when."""

from __future__ import annotations

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.history.boot_story import placed_things, story_steps
from tdvfsh.machine.asking import td_options
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import AllocatePagesCall, AllocatePoolCall, PlacementMade
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB
from tests.boots.made_files import INSTALLER_INITRD, Opener


def _boot(opened: Opener, on_demand: str = "service", loader: str = "direct") -> BootResult:
    return boot(td_options("2G", "224M", on_demand, loader=loader), opened(INSTALLER_INITRD).boot)


def test_every_placement_knows_the_call_that_gave_its_memory(opened: Opener) -> None:
    for loader in ("direct", "grub2.12", "grub2.12-debian", "sd-boot"):
        records = _boot(opened, loader=loader).machine.trace.records
        made = [record for record in records if isinstance(record, PlacementMade)]
        assert {"kernel", "initrd"} <= {record.what for record in made}, loader
        for record in made:
            if record.made_by is None:
                continue
            call = records[record.made_by]
            assert call.number < record.number
            assert call.succeeded
            if isinstance(call, AllocatePagesCall | AllocatePoolCall):
                assert call.range[0] == record.start, (loader, record.what)


def test_a_thing_stands_from_its_call_to_the_call_that_freed_it(opened: Opener) -> None:
    result = _boot(opened)
    records = result.machine.trace.records
    things = {thing.what: thing for thing in placed_things(None, records)}
    kernel, buffer = things["kernel"], things["file_buffer"]
    assert isinstance(records[kernel.since], AllocatePagesCall)
    assert kernel.until is None
    assert buffer.until is not None
    assert buffer.since < buffer.until
    assert records[buffer.until].service == "FreePool"


def test_a_journal_without_placements_shows_those_of_its_boot_that_stood_in_the_end() -> None:
    boot_values = {
        "placements": [
            {"what": "kernel", "start": MIB, "end": 2 * MIB, "freed": False},
            {"what": "image", "start": 3 * MIB, "end": 4 * MIB, "freed": True},
        ]
    }
    assert placed_things(boot_values, []) == [("kernel", MIB, 2 * MIB, 0, None)]
    assert placed_things(None, []) == []


def test_steps_are_large_requests_images_accepts_and_failures_and_say_what_they_are_for(opened: Opener) -> None:
    result = _boot(opened, "none")
    records = result.machine.trace.records
    steps = story_steps(records, placed_things(None, records))
    assert [step.number for step in steps] == sorted(step.number for step in steps)
    assert steps[0].what == "at boot, before DXE"
    assert {step.service for step in steps if step.failed} == {"AllocatePages", "StartImage"}
    assert all(
        step.failed or step.size >= MIB or step.service in ("LoadImage", "StartImage", "AcceptMemory at boot")
        for step in steps
    )
    loaded = next(step for step in steps if step.service == "LoadImage")
    assert loaded.what == "image"


def test_a_search_that_finds_nothing_and_a_question_for_a_size_are_not_failures() -> None:
    trace = Trace()
    trace.note("LocateProtocol", EfiStatus.EFI_NOT_FOUND)
    trace.note("GetMemoryMap", EfiStatus.EFI_BUFFER_TOO_SMALL)
    trace.note("GetVariable", EfiStatus.EFI_NOT_FOUND)
    trace.note("GetVariable", EfiStatus.EFI_DEVICE_ERROR)
    trace.note("Stall", SUCCESS)
    steps = story_steps(trace.records, [])
    assert [(step.service, step.status) for step in steps] == [("GetVariable", "EFI_DEVICE_ERROR")]
