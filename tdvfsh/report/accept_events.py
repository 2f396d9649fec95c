"""Who accepted what, when and why, out of a journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tdvfsh.trace import NO_PARENT, TraceRecord
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE

AT_BOOT: Final = "AcceptMemory at boot"
ACCEPT_LEAF: Final = "TDG.MEM.PAGE.ACCEPT"
_PROTOCOL: Final = "EdkiiMemoryAcceptProtocol.AcceptMemory"
_AT_EXIT: Final = "AcceptAllMemory"
_ALLOCATIONS: Final = ("AllocatePages", "AllocatePool")
_BY_HAND: Final = "shell"
_LEVEL_MASK: Final = 7
_PAGE_BITS: Final = ~0xFFF


class AcceptEvent(NamedTuple):
    """One accept.

    Attributes:
        number: The record of it.
        time_ns: Virtual time at which it began, in modelled nanoseconds.
        duration_ns: How long it took, modelled.
        who: The caller.
        why: What made it accept.
        start: First byte, or None for SEC's accept of several ranges.
        accepted_bytes: Bytes that were accepted.
        calls: TDCALLs.
        status: How it ended.
    """

    number: int
    time_ns: int
    duration_ns: int
    who: str
    why: str
    start: int | None
    accepted_bytes: int
    calls: int
    status: str


def accept_events(records: Sequence[TraceRecord]) -> Iterator[AcceptEvent]:
    """All accepts in order: SEC's at boot, then each TDCALL sequence."""
    for index, record in enumerate(records):
        status = "" if record.status is None else record.status.name
        if record.service == AT_BOOT:
            end = records[index + 1].time_ns if index + 1 < len(records) else record.time_ns
            size, calls = _number(record.results.get("accepted_bytes")), _number(record.results.get("calls"))
            why = "at boot, before DXE"
            yield AcceptEvent(
                record.number, record.time_ns, end - record.time_ns, record.caller, why, None, size, calls, status
            )
            continue
        accepted = accepted_range(record)
        if accepted is None:
            continue
        inside = records[record.parent] if record.parent != NO_PARENT else record
        begun = inside.time_ns if inside.service == _PROTOCOL else record.time_ns
        calls = _number(record.arguments.get("calls")) or 1
        yield AcceptEvent(
            record.number,
            begun,
            record.time_ns - begun,
            record.caller,
            _why(record, records),
            accepted[0],
            accepted[1] - accepted[0],
            calls,
            status,
        )


def accepted_range(record: TraceRecord) -> tuple[int, int] | None:
    """The range that a TDCALL record accepted; None where it is none, or accepted nothing."""
    if record.service != ACCEPT_LEAF:
        return None
    arguments = record.arguments
    if "rcx" in arguments:  # one raw call: the address with the page's level in its low bits
        if record.status is None or record.status.is_error:
            return None
        rcx = _number(arguments["rcx"])
        start, size = rcx & _PAGE_BITS, LARGE_PAGE_SIZE if rcx & _LEVEL_MASK else PAGE_SIZE
    else:
        start, size = _number(arguments.get("start")), _number(arguments.get("size")) // PAGE_SIZE * PAGE_SIZE
        if record.status is None or record.status.is_error:
            pages_4k, pages_2m = _number(arguments.get("pages_4k")), _number(arguments.get("pages_2m"))
            size = min(size, pages_4k * PAGE_SIZE + pages_2m * LARGE_PAGE_SIZE)
    return (start, start + size) if size else None


def enters_map(record: TraceRecord, records: Sequence[TraceRecord]) -> bool:
    """Whether the firmware puts what this TDCALL accepted into its memory map.

    It does inside AcceptMemory(), inside an allocation (option 1), when the rest is accepted at exit, and where a
    loader's accept (option 2) succeeded. The protocol or a TDCALL by hand change nothing but secure EPT.
    """
    causes = {cause.service for cause in _causes(record, records)}
    if causes & {"AcceptMemory", _AT_EXIT, *_ALLOCATIONS}:
        return True
    return record.caller != _BY_HAND and record.status is not None and not record.status.is_error


def _why(record: TraceRecord, records: Sequence[TraceRecord]) -> str:
    for cause in _causes(record, records):
        if cause.service == "AcceptMemory":
            return "option 3: AcceptMemory() before it is needed"
        if cause.service in _ALLOCATIONS:
            return f"option 1: {cause.service} would have run out"
        if cause.service == _AT_EXIT:
            return "the rest, at ExitBootServices"
    if record.caller == _BY_HAND:
        return "by hand"
    return "option 2: the loader, after a step ran out"


def _causes(record: TraceRecord, records: Sequence[TraceRecord]) -> Iterator[TraceRecord]:
    while record.parent != NO_PARENT:
        record = records[record.parent]
        yield record


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
