"""What was accepted, when, by which caller and why, from a journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.trace.records import (
    NO_PARENT,
    AcceptMemoryCall,
    AllocatePagesCall,
    AllocatePoolCall,
    BootAccept,
    DmaAccept,
    PageAccept,
    TraceRecord,
)
from tdvfsh.uefi.service_names import ACCEPT_AT_EXIT

_BY_HAND: Final = "shell"
_KERNEL: Final = "kernel,"
"""How the callers begin that are parts of a running kernel."""


class AcceptEvent(NamedTuple):
    """One accept.

    Attributes:
        number: The record of it.
        time_ns: Virtual time at which it began, in modelled nanoseconds.
        duration_ns: How long it took, modelled.
        who: The caller.
        why: What made it accept.
        start: First byte, or None for SEC's accept of several ranges and for pages accepted again after DMA.
        accepted_bytes: Bytes that were accepted.
        calls: TDCALLs.
        status: How it ended.
        after_dma: Whether the pages had been accepted before, and were shared with a device in between.
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
    after_dma: bool = False


def accept_events(records: Sequence[TraceRecord]) -> Iterator[AcceptEvent]:
    """All accepts in order: SEC's at boot, then each TDCALL sequence that accepted something."""
    for record in records:
        if isinstance(record, BootAccept):
            yield _event(record, "at boot, before DXE", None, record.accepted_bytes)
        elif isinstance(record, PageAccept) and record.accepted is not None:
            yield _event(record, _why(record, records), record.start, record.new_bytes)
        elif isinstance(record, DmaAccept):
            yield AcceptEvent(
                number=record.number,
                time_ns=record.time_ns,
                duration_ns=record.duration_ns,
                who=record.caller,
                why=f"again, after DMA: {record.why}",
                start=None,
                accepted_bytes=0,
                calls=record.pages,
                status="" if record.status is None else record.status.name,
                after_dma=True,
            )


def _event(record: BootAccept | PageAccept, why: str, start: int | None, accepted_bytes: int) -> AcceptEvent:
    return AcceptEvent(
        number=record.number,
        time_ns=record.time_ns,
        duration_ns=record.duration_ns,
        who=record.caller,
        why=why,
        start=start,
        accepted_bytes=accepted_bytes,
        calls=record.calls,
        status="" if record.status is None else record.status.name,
    )


def enters_map(record: PageAccept, records: Sequence[TraceRecord]) -> bool:
    """Whether the firmware puts what this TDCALL accepted into its memory map.

    It does inside AcceptMemory(), inside an allocation (option 1), when the rest is accepted at exit, and where a
    loader's accept (option 2) succeeded. The protocol or a TDCALL by hand change nothing but secure EPT.
    """
    if any(
        isinstance(cause, AcceptMemoryCall | AllocatePagesCall | AllocatePoolCall) or cause.service == ACCEPT_AT_EXIT
        for cause in _causes(record, records)
    ):
        return True
    return record.caller != _BY_HAND and record.status is not None and not record.status.is_error


def _why(record: PageAccept, records: Sequence[TraceRecord]) -> str:
    for cause in _causes(record, records):
        if isinstance(cause, AcceptMemoryCall):
            return "option 3: AcceptMemory() before it is needed"
        if isinstance(cause, AllocatePagesCall | AllocatePoolCall):
            return f"option 1: {cause.service} would have run out"
        if cause.service == ACCEPT_AT_EXIT:
            return "the rest, at ExitBootServices"
    if record.caller == _BY_HAND:
        return "by hand"
    if record.caller.startswith(_KERNEL):
        return "the kernel, as it runs"
    return "option 2: the loader, after a step ran out"


def _causes(record: TraceRecord, records: Sequence[TraceRecord]) -> Iterator[TraceRecord]:
    while record.parent != NO_PARENT:
        record = records[record.parent]
        yield record
