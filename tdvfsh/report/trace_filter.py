"""Choosing records of a journal: by service, status, caller, address range, and with what they caused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.trace.records import (
    AllocatePagesCall,
    AllocatePoolCall,
    FreePagesCall,
    PlacementMade,
    TraceRecord,
)
from tdvfsh.uefi.memory import EfiAllocateType
from tdvfsh.units import PAGE_SHIFT

if TYPE_CHECKING:
    from tdvfsh.trace.fields import Value
    from tdvfsh.trace.journal import Trace
    from tdvfsh.uefi.status import EfiStatus

Wanted = Callable[[TraceRecord], bool]

_SIZED: Final = (
    ("start_address", "size"), ("start", "size"), ("buffer", "size"), ("image_base", "image_size"), ("gpa", "size"),
)  # fmt: skip
_POINTS: Final = ("memory", "buffer", "start_address", "start", "image_base", "gpa", "table")


def of_service(service: str) -> Wanted:
    """Calls of a service, in any case."""
    return lambda record: record.service.lower() == service.lower()


def of_caller(caller: str) -> Wanted:
    """Calls of a caller, by its name in any case."""
    return lambda record: record.caller.lower() == caller.lower()


def of_status(status: EfiStatus | None) -> Wanted:
    """Calls that ended so; all failures where None."""
    return lambda record: (
        record.status is not None and (record.status.is_error if status is None else record.status == status)
    )


def touching(start: int, end: int) -> Wanted:
    """Calls with an address in ``[start, end)`` among arguments or results, or with a range that overlaps it."""
    return lambda record: any(low < end and start < high for low, high in ranges_of(record))


def ranges_of(record: TraceRecord) -> Iterator[tuple[int, int]]:
    """The byte ranges ``[start, end)`` that a call names; an address alone is one byte.

    What a call returned counts before its arguments: AllocatePages asks with a limit and answers with a place, and
    where it found none only AllocateAddress has named one.
    """
    match record:
        case AllocatePagesCall():
            by_address = record.allocate_type == EfiAllocateType.AllocateAddress
            if record.succeeded or by_address:
                start = record.memory if record.memory is not None else record.asked
                yield _span(start or 0, record.pages << PAGE_SHIFT)
        case FreePagesCall():
            yield _span(record.memory, record.pages << PAGE_SHIFT)
        case AllocatePoolCall():
            if record.buffer is not None:
                yield _span(record.buffer, record.size)
        case PlacementMade():
            yield record.start, record.end
        case _:
            yield from _named_ranges({**record.arguments, **record.results})


def _named_ranges(values: dict[str, Value]) -> Iterator[tuple[int, int]]:
    """Ranges among the values of a call without a kind of its own, by their usual names."""
    pages, memory = values.get("pages"), values.get("memory")
    if type(pages) is int and type(memory) is int:
        yield _span(memory, pages << PAGE_SHIFT)
    for name, size_name in _SIZED:
        start, size = values.get(name), values.get(size_name)
        if type(start) is int and type(size) is int:
            yield _span(start, size)
    for name in _POINTS:
        start = values.get(name)
        if type(start) is int and not (name == "memory" and type(pages) is int):
            yield start, start + 1


def _span(start: int, size: int) -> tuple[int, int]:
    return start, start + max(1, size)


def with_descendants(trace: Trace, records: Iterable[TraceRecord]) -> list[TraceRecord]:
    """The records and everything that they caused, in the journal's order."""
    chosen = {record.number for record in records}
    found = []
    for record in trace:
        if record.number in chosen or record.parent in chosen:
            chosen.add(record.number)
            found.append(record)
    return found
