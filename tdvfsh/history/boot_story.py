"""The steps of a boot that matter to a user, from a journal: large requests, images, accepts, failures."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.history.accept_events import accept_events
from tdvfsh.lazy_typing import Any, Final, NamedTuple
from tdvfsh.trace.records import (
    AcceptMemoryCall,
    AllocatePagesCall,
    AllocatePoolCall,
    FreePagesCall,
    LoadImageCall,
    PageAccept,
    PlacementGone,
    PlacementMade,
    TraceRecord,
)
from tdvfsh.uefi.service_names import (
    ACCEPT_AT_BOOT,
    ACCEPT_MEMORY,
    EXIT_BOOT_SERVICES,
    GET_NEXT_VARIABLE_NAME,
    GET_VARIABLE,
    HANDLE_PROTOCOL,
    LOAD_IMAGE,
    LOCATE_DEVICE_PATH,
    LOCATE_HANDLE,
    LOCATE_HANDLE_BUFFER,
    LOCATE_PROTOCOL,
    OPEN_PROTOCOL_INFORMATION,
    SET_VARIABLE,
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
"""Services whose errors are answers, not failures: there is no such protocol."""
_LOOKING_UP: Final = frozenset(
    {GET_VARIABLE, GET_NEXT_VARIABLE_NAME, SET_VARIABLE, LOCATE_HANDLE, LOCATE_DEVICE_PATH, OPEN_PROTOCOL_INFORMATION}
)
"""Services whose EFI_NOT_FOUND is an answer: loaders and kernels ask for variables that few machines have."""
_OTHER_SIZE: Final = "PAGE_SIZE_MISMATCH"
"""What the TDX module answers where the VMM has mapped smaller pages: the guest goes on with those."""


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


def is_failure(record: TraceRecord) -> bool:
    """Whether a record's status is a failure, and not an answer that its caller expects.

    The first GetMemoryMap asks for a size (EFI_BUFFER_TOO_SMALL), a search may find nothing, and an accept of 2 MiB is
    made again with pages of 4 KiB.
    """
    if not record.failed or record.status is _ASKING or record.service in _SEARCHING:
        return False
    if record.status is EfiStatus.EFI_NOT_FOUND and record.service in _LOOKING_UP:
        return False
    return not (isinstance(record, PageAccept) and record.completion == _OTHER_SIZE)


def failing_step(boot: dict[str, Any] | None, steps: Sequence[StoryStep]) -> StoryStep | None:
    """The step at which a boot failed: the last that ended as the boot's failure says, else the last failure."""
    failure = (boot or {}).get("failure") or {}
    failed = [step for step in steps if step.failed]
    asked = [step for step in failed if (step.service, step.status) == (failure.get("service"), failure.get("status"))]
    if boot is None or boot["status"] == "EFI_SUCCESS" or not failed:
        return None
    return (asked or failed)[-1]


def story_steps(records: Sequence[TraceRecord], things: Sequence[PlacedThing]) -> list[StoryStep]:
    """The steps, in order."""
    names = {thing.since: thing.what for thing in things}
    images = {thing.start: thing.what for thing in things}
    accepts = {event.number: event for event in accept_events(records)}
    steps = []
    for record in records:
        failed = is_failure(record)
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
