"""Choosing records of a journal: by service, status, caller, address range, and with what they caused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from tdvfsh.units import PAGE_SHIFT

if TYPE_CHECKING:
    from tdvfsh.trace import Trace, TraceRecord
    from tdvfsh.uefi.status import EfiStatus

Wanted = Callable[["TraceRecord"], bool]

_SIZED: Final = (
    ("start_address", "size"), ("start", "size"), ("buffer", "size"), ("image_base", "image_size"), ("gpa", "size"),
)  # fmt: skip
_POINTS: Final = ("memory", "buffer", "start_address", "start", "image_base", "gpa", "rcx", "table")
_PAGE_MASK: Final = (1 << PAGE_SHIFT) - 1


def of_service(service: str) -> Wanted:
    """Calls of a service, in any case."""
    return lambda record: record.service.lower() == service.lower()


def of_caller(caller: str) -> Wanted:
    """Calls that somebody made, in any case."""
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

    What a call gave back counts before what it was asked: AllocatePages asks with a limit and answers with a place, and
    where it found none only AllocateAddress has named one.
    """
    if (
        record.service == "AllocatePages"
        and (record.status is None or record.status.is_error)
        and record.arguments.get("allocate_type") != "AllocateAddress"
    ):
        return
    values = {**record.arguments, **record.results}
    pages, memory = values.get("pages"), values.get("memory")
    if type(pages) is int and type(memory) is int:
        yield memory, memory + max(1, pages << PAGE_SHIFT)
    for name, size_name in _SIZED:
        start, size = values.get(name), values.get(size_name)
        if type(start) is int and type(size) is int:
            yield start, start + max(1, size)
    for name in _POINTS:
        start = values.get(name)
        if type(start) is int and not (name == "memory" and type(pages) is int):
            at = start & ~_PAGE_MASK if name == "rcx" else start
            yield at, at + 1


def with_descendants(trace: Trace, records: Iterable[TraceRecord]) -> list[TraceRecord]:
    """The records and everything that they caused, in the journal's order."""
    chosen = {record.number for record in records}
    found = []
    for record in trace:
        if record.number in chosen or record.parent in chosen:
            chosen.add(record.number)
            found.append(record)
    return found
