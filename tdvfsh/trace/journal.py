"""The journal of one machine, in the order of what happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from tdvfsh.lazy_typing import TypeVar
from tdvfsh.td.clock import VirtualClock
from tdvfsh.trace.fields import Value
from tdvfsh.trace.records import (
    NO_PARENT,
    AllocatePagesCall,
    AllocatePoolCall,
    FreePagesCall,
    FreePoolCall,
    LoadImageCall,
    PlacementGone,
    PlacementMade,
    ServiceCall,
    TraceRecord,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

Record = TypeVar("Record", bound=TraceRecord)


class _OnBehalfOf(AbstractContextManager[None]):
    """Block in which a journal names another caller."""

    __slots__ = ("_before", "_caller", "_trace")

    def __init__(self, trace: Trace, caller: str) -> None:
        self._trace = trace
        self._caller = caller

    def __enter__(self) -> None:
        self._before = self._trace.caller
        self._trace.caller = self._caller

    def __exit__(self, *raised: object) -> None:
        self._trace.caller = self._before


class Trace:
    """The journal of one machine.

    A record costs a small object. Calls of a service without a kind of its own are written with :meth:`enter`,
    :meth:`leave` and :meth:`note`, records of any other kind with :meth:`begin` and :meth:`end`.

    Args:
        clock: The virtual clock; records of one without stand at 0.

    Attributes:
        records: Everything so far, in order.
        caller: In whose name records are written.
    """

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.records: list[TraceRecord] = []
        self.caller = "shell"
        self._clock = clock if clock is not None else VirtualClock()
        self._open: list[int] = []

    def __repr__(self) -> str:
        return f"<Trace of {len(self.records)} records>"

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[TraceRecord]:
        return iter(self.records)

    def begin(self, record: Record) -> Record:
        """Write ``record`` down; what is written before its :meth:`end` becomes its children."""
        records, opened = self.records, self._open
        record.number = number = len(records)
        record.parent = opened[-1] if opened else NO_PARENT
        record.time_ns = self._clock.now_ns
        record.caller = self.caller
        record.status = None
        records.append(record)
        opened.append(number)
        return record

    def end(self, record: TraceRecord, status: EfiStatus) -> None:
        """Close ``record`` with its outcome, and whatever was left open inside it."""
        record.status = status
        opened, number = self._open, record.number
        if opened and opened[-1] == number:
            del opened[-1]
            return
        while opened and opened.pop() != number:
            pass

    def add(self, record: Record, status: EfiStatus = SUCCESS) -> Record:
        """Write down a record without an inside."""
        records, opened = self.records, self._open
        record.number = len(records)
        record.parent = opened[-1] if opened else NO_PARENT
        record.time_ns = self._clock.now_ns
        record.caller = self.caller
        record.status = status
        records.append(record)
        return record

    def share(self, records: Sequence[TraceRecord]) -> bool:
        """Write down completed records of another journal, if they would not differ here in any way; False else.

        They stand side by side, with nothing inside, and begin and end at one time. A record that is complete does not
        change, so that both journals have the same ones.
        """
        first = records[0]
        if (first.number, first.time_ns, first.caller, first.parent) != (
            len(self.records), self._clock.now_ns, self.caller, self._open[-1] if self._open else NO_PARENT,
        ):  # fmt: skip
            return False
        self.records.extend(records)
        return True

    def enter(self, service: str, **arguments: Value) -> ServiceCall:
        """Open the record of a call; calls made before :meth:`leave` become its children."""
        return self.begin(ServiceCall(service, arguments))

    def leave(self, record: ServiceCall, status: EfiStatus, **results: Value) -> None:
        """Close the record of a call with its outcome, and whatever was left open inside it."""
        record.results = results
        self.end(record, status)

    def note(self, service: str, status: EfiStatus = SUCCESS, **arguments: Value) -> ServiceCall:
        """The record of a call without an inside."""
        return self.add(ServiceCall(service, arguments), status)

    def place(self, what: str, start: int, end: int, memory_type: int) -> PlacementMade:
        """Note that something was put into memory just now, with the call that allocated the memory."""
        return self.add(PlacementMade(what, start, end, memory_type, self._giver_of(start)))

    def unplace(self, placement: PlacementMade) -> PlacementGone:
        """Note that a placement is gone, with the call since then that freed it."""
        return self.add(PlacementGone(placement.what, placement.number, self._freer_of(placement)))

    def on_behalf_of(self, caller: str) -> AbstractContextManager[None]:
        """Name the caller of everything inside the block."""
        return _OnBehalfOf(self, caller)

    def open_records(self) -> list[int]:
        """Numbers of the records that are open, the innermost last."""
        return list(self._open)

    def resume(self, caller: str, opened: list[int]) -> None:
        """Continue as a journal that was saved, whose records are there: its caller, and which records are open."""
        self.caller = caller
        self._open[:] = opened

    def children(self, number: int) -> list[TraceRecord]:
        """What the call ``number`` caused directly."""
        return [record for record in self.records[number + 1 :] if record.parent == number]

    def _giver_of(self, start: int) -> int | None:
        """The last call that allocated memory from ``start`` on, unless freed or something placed there since."""
        for record in reversed(self.records):
            if isinstance(record, PlacementMade) and record.start == start:
                return None
            if isinstance(record, FreePagesCall) and record.memory == start and record.succeeded:
                return None
            given = (
                record.memory
                if isinstance(record, AllocatePagesCall)
                else record.buffer
                if isinstance(record, AllocatePoolCall)
                else record.image_base
                if isinstance(record, LoadImageCall)
                else None
            )
            if given == start and record.succeeded:
                return record.number
        return None

    def _freer_of(self, placement: PlacementMade) -> int | None:
        for record in self.records[: placement.number : -1]:
            if isinstance(record, FreePagesCall | FreePoolCall):
                low, high = record.range
                if low <= placement.start < high:
                    return record.number
        return None
