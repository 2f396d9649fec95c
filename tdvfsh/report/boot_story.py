"""The steps of a boot that a person wants to see, out of a journal: large requests, images, accepts, failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tdvfsh.report.accept_events import AT_BOOT, accept_events
from tdvfsh.trace import TraceRecord
from tdvfsh.units import MIB, PAGE_SHIFT

_LARGE: Final = MIB
_ALWAYS: Final = frozenset({AT_BOOT, "LoadImage", "StartImage", "UnloadImage", "ExitBootServices", "AcceptMemory"})
_ASKING: Final = frozenset({"EFI_BUFFER_TOO_SMALL"})
"""What a caller that asks for a size expects."""
_SEARCHING: Final = frozenset({"LocateProtocol", "LocateHandleBuffer", "HandleProtocol"})
"""Services whose EFI_NOT_FOUND is an answer, not a failure."""
_RESULTS: Final = {"AllocatePages": "memory", "AllocatePool": "buffer"}
_FREES: Final = frozenset({"FreePages", "FreePool"})


class StoryStep(NamedTuple):
    """One step.

    Attributes:
        number: Its record.
        time_ns: Virtual time, modelled.
        caller: Who called.
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
    """The boot's placements in the order in which they were made, each with the records between which it stood.

    One inside an earlier block, as GRUB's, is there from the placement before it on.
    """
    allocations = [(record.number, start) for record in records if (start := _allocated_at(record)) is not None]
    frees = [(record.number, *_freed_range(record)) for record in records if record.service in _FREES]
    things: list[PlacedThing] = []
    last = 0
    for placement in boot["placements"] if boot else ():
        start, end = int(placement["start"]), int(placement["end"])
        made = next((number for number, at in allocations if number > last and at == start), None)
        last = last if made is None else made
        until = None
        if placement["freed"]:
            until = next((number for number, low, high in frees if number > last and low <= start < high), None)
        things.append(PlacedThing(str(placement["what"]), start, end, last, until))
    return things


def _allocated_at(record: TraceRecord) -> int | None:
    name = _RESULTS.get(record.service)
    start = record.results.get(name) if name is not None else None
    return start if isinstance(start, int) and record.status is not None and not record.status.is_error else None


def _freed_range(record: TraceRecord) -> tuple[int, int]:
    """What a free gives back: pages as it says, or the one byte at which the pool's buffer began."""
    memory, pages = record.arguments.get("memory"), record.arguments.get("pages")
    if isinstance(memory, int) and isinstance(pages, int):
        return memory, memory + (pages << PAGE_SHIFT)
    buffer = record.arguments.get("buffer")
    return (buffer, buffer + 1) if isinstance(buffer, int) else (0, 0)


def story_steps(records: Sequence[TraceRecord], things: Sequence[PlacedThing]) -> list[StoryStep]:
    """The steps, in order."""
    names = {(thing.start, thing.since): thing.what for thing in things}
    by_start = {thing.start: thing.what for thing in reversed(things)}
    accepts = {event.number: event for event in accept_events(records)}
    steps = []
    for record in records:
        status = "" if record.status is None else record.status.name
        failed = (
            record.status is not None
            and record.status.is_error
            and status not in _ASKING
            and record.service not in _SEARCHING
        )
        size, start = _size_of(record), _start_of(record)
        event = accepts.get(record.number)
        what = ""
        if event is not None:
            size, start, what = event.accepted_bytes, event.start, event.why
        elif start is not None:
            what = names.get((start, record.number)) or by_start.get(start, "")
        if not (failed or event is not None or record.service in _ALWAYS or (size >= _LARGE and start is not None)):
            continue
        steps.append(
            StoryStep(record.number, record.time_ns, record.caller, record.service, what, size, start, status, failed)
        )
    return steps


def _size_of(record: TraceRecord) -> int:
    arguments = record.arguments
    if isinstance(pages := arguments.get("pages"), int):
        return pages << PAGE_SHIFT
    for value in (arguments.get("size"), record.results.get("image_size"), arguments.get("source_size")):
        if isinstance(value, int):
            return value
    return 0


def _start_of(record: TraceRecord) -> int | None:
    """Where something new lies; a free has no such place, and firmware's own frees are no steps."""
    if record.service not in ("AllocatePages", "AllocatePool", "LoadImage", "AcceptMemory"):
        return None
    results = record.results
    for value in (
        results.get("memory"),
        results.get("buffer"),
        results.get("image_base"),
        record.arguments.get("start_address"),
    ):
        if isinstance(value, int):
            return value
    return None
