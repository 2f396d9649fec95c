"""Who accepted, when and why."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.history.accept_events import AcceptEvent, accept_events
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import GIB
from tests.boots.made_files import INSTALLER_INITRD, Opener


def _events(opened: Opener, on_demand: str) -> tuple[BootResult, list[AcceptEvent]]:
    options = TdOptions(memory=2 * GIB, accept=parse_boot_accept("224M"), on_demand=on_demand)
    result = boot(options, opened(INSTALLER_INITRD).boot)
    return result, list(accept_events(result.machine.trace.records))


@pytest.mark.parametrize(
    ("on_demand", "why"),
    [
        ("allocator", "option 1: AllocatePages would have run out"),
        ("loader", "option 2: the loader, after a step ran out"),
        ("service", "option 3: AcceptMemory() before it is needed"),
    ],
)
def test_the_events_sum_up_to_what_was_accepted_and_name_the_option(opened: Opener, on_demand: str, why: str) -> None:
    result, events = _events(opened, on_demand)
    assert result.booted
    assert (events[0].who, events[0].why, events[0].start) == ("sec", "at boot, before DXE", None)
    assert why in {event.why for event in events[1:]}
    assert sum(event.accepted_bytes for event in events) == (
        result.boot_bytes - result.machine.td.added_bytes + result.on_demand_bytes
    )
    assert sum(event.duration_ns for event in events) == result.machine.clock.now_ns
    assert sum(event.calls for event in events) == result.machine.td.tdcall.calls


def test_an_event_begins_where_the_one_before_ended_or_later(opened: Opener) -> None:
    _, events = _events(opened, "allocator")
    assert all(one.time_ns + one.duration_ns <= two.time_ns for one, two in pairwise(events))


def test_pages_accepted_again_after_dma_are_events_without_a_place(opened: Opener) -> None:
    options = TdOptions(memory=2 * GIB, accept=parse_boot_accept("512M"), profile="lazy-v2")
    result = boot(options, opened(INSTALLER_INITRD).boot)
    again = [event for event in accept_events(result.machine.trace.records) if event.after_dma]
    assert sum(event.calls for event in again) == result.dma_pages > 10_000
    assert {(event.start, event.accepted_bytes) for event in again} == {(None, 0)}
