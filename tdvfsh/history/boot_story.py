"""The steps of a boot that matter to a user, from a journal: large requests, images, accepts, failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tdvfsh.history.accept_events import accept_events
from tdvfsh.trace.records import (
    AcceptMemoryCall,
    AllocatePagesCall,
    AllocatePoolCall,
    FreePagesCall,
    LoadImageCall,
    PlacementGone,
    PlacementMade,
    TraceRecord,
)
from tdvfsh.uefi.service_names import (
    ACCEPT_AT_BOOT,
    ACCEPT_MEMORY,
    EXIT_BOOT_SERVICES,
    HANDLE_PROTOCOL,
    LOAD_IMAGE,
    LOCATE_HANDLE_BUFFER,
    LOCATE_PROTOCOL,
    START_IMAGE,
    UNLOAD_IMAGE,
)
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import MIB, PAGE_SHIFT

_LARGE: Final = MIB
_ALWAYS: Final = frozenset({ACCEPT_AT_BOOT, LOAD_IMAGE, START_IMAGE, UNLOAD_IMAGE, EXIT_BOOT_SERVICES, ACCEPT_MEMORY})
_ASKING: Final = EfiStatus.EFI_BUFFER_TOO_SMALL
"""What a caller that asks for a size expects."""
_SEARCHING: Final = frozenset({LOCATE_PROTOCOL, LOCATE_HANDLE_BUFFER, HANDLE_PROTOCOL})
"""Services whose EFI_NOT_FOUND is an answer, not a failure."""


class StoryStep(NamedTuple):
    """One step.

    Attributes:
        number: Its record.
        time_ns: Virtual time, modelled.
        caller: The caller.
        service: What was called.
        what: What it was for, where known.
        size: Bytes asked for or accepted; 0 where there is no such thing.
        start: Where it came to lie, or None.
        status: How it ended.
        failed: Whether that is a failure.
    """

    number: int
    time_ns: int
    caller: str
    service: str
    what: str
    size: int
    start: int | None
    status: str
    failed: bool


class PlacedThing(NamedTuple):
    """A placement and when it was there: from record ``since`` to before ``until`` (None: to the end)."""

    what: str
    start: int
    end: int
    since: int
    until: int | None


def placed_things(boot: dict[str, Any] | None, records: Sequence[TraceRecord]) -> list[PlacedThing]:
    """What a boot placed, in the order in which it did, each with the records between which it stood.

    Form 1 of the trace file has no such records: of its boot's placements those are here that stood in the end.
    """
    made = [record for record in records if isinstance(record, PlacementMade)]
    if not made:
        return [
            PlacedThing(placement["what"], placement["start"], placement["end"], 0, None)
            for placement in (boot["placements"] if boot else ())
            if not placement["freed"]
        ]
    gone = {record.placement: record for record in records if isinstance(record, PlacementGone)}
    return [_thing(record, gone.get(record.number)) for record in made]


def _thing(made: PlacementMade, gone: PlacementGone | None) -> PlacedThing:
    since = made.number if made.made_by is None else made.made_by
    until = None
    if gone is not None:
        until = gone.number if gone.freed_by is None else gone.freed_by
    return PlacedThing(made.what, made.start, made.end, since, until)


def story_steps(records: Sequence[TraceRecord], things: Sequence[PlacedThing]) -> list[StoryStep]:
    """The steps, in order."""
    names = {thing.since: thing.what for thing in things}
    images = {thing.start: thing.what for thing in things}
    accepts = {event.number: event for event in accept_events(records)}
    steps = []
    for record in records:
        failed = record.failed and record.status is not _ASKING and record.service not in _SEARCHING
        size, start = _place_of(record)
        event = accepts.get(record.number)
        what = names.get(record.number, "")
        if event is not None:
            size, start, what = event.accepted_bytes, event.start, event.why
        elif isinstance(record, LoadImageCall) and start is not None:
            what = what or images.get(start, "")
        elif isinstance(record, PlacementMade | PlacementGone):
            continue
        if not (failed or event is not None or record.service in _ALWAYS or (size >= _LARGE and start is not None)):
            continue
        steps.append(
            StoryStep(
                number=record.number,
                time_ns=record.time_ns,
                caller=record.caller,
                service=record.service,
                what=what,
                size=size,
                start=start,
                status="" if record.status is None else record.status.name,
                failed=failed,
            )
        )
    return steps


def _place_of(record: TraceRecord) -> tuple[int, int | None]:
    """Bytes that a call is about, and where something new lies; a free has no such place."""
    match record:
        case AllocatePagesCall():
            return record.pages << PAGE_SHIFT, record.memory
        case AllocatePoolCall():
            return record.size, record.buffer
        case LoadImageCall():
            return record.image_size or record.source_size or 0, record.image_base
        case AcceptMemoryCall():
            return record.size, record.start_address
        case FreePagesCall():
            return record.pages << PAGE_SHIFT, None
    return 0, None
