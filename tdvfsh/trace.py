"""The journal: one record per boot-service call, accept and TDCALL, in order, with what caused what.

Reports, replay, cost and explanations read nothing else. A record costs a small object; addresses and sizes are ints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tdvfsh.uefi.status import SUCCESS, EfiStatus

Value = int | str | bool | None
NO_PARENT: Final = -1


class TraceRecord:
    """One call.

    Attributes:
        number: Position in the journal, from 0.
        parent: Number of the call that made this one, or -1.
        time_ns: Virtual time at entry, in modelled nanoseconds.
        caller: Who called: ``shell``, ``direct``, ``grub``, ``stub``, ``dxe``, ``sec`` …
        service: The specification's name: ``AllocatePages``, ``TDG.MEM.PAGE.ACCEPT`` …
        arguments: Names and values as the specification names them.
        status: What it returned; None while it runs.
        results: What it gave back.
    """

    __slots__ = ("arguments", "caller", "number", "parent", "results", "service", "status", "time_ns")

    def __init__(
        self, number: int, parent: int, time_ns: int, caller: str, service: str, arguments: dict[str, Value]
    ) -> None:
        self.number = number
        self.parent = parent
        self.time_ns = time_ns
        self.caller = caller
        self.service = service
        self.arguments = arguments
        self.status: EfiStatus | None = None
        self.results: dict[str, Value] = {}

    def as_dict(self) -> dict[str, object]:
        """The record as plain values, for JSON."""
        return {
            "number": self.number,
            "parent": self.parent,
            "time_ns": self.time_ns,
            "caller": self.caller,
            "service": self.service,
            "arguments": self.arguments,
            "status": self.status.name if self.status is not None else None,
            "results": self.results,
        }


class Trace:
    """The journal of one machine.

    Args:
        now: The virtual clock's reading in nanoseconds.
    """

    def __init__(self, now: Callable[[], int] = lambda: 0) -> None:
        self.records: list[TraceRecord] = []
        self.caller = "shell"
        self._now = now
        self._open: list[int] = []

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[TraceRecord]:
        return iter(self.records)

    def enter(self, service: str, **arguments: Value) -> TraceRecord:
        """Open a record; calls made before :meth:`leave` become its children."""
        records, opened = self.records, self._open
        number = len(records)
        record = TraceRecord(number, opened[-1] if opened else NO_PARENT, self._now(), self.caller, service, arguments)
        records.append(record)
        opened.append(number)
        return record

    def leave(self, record: TraceRecord, status: EfiStatus, **results: Value) -> None:
        """Close ``record`` with its outcome, and whatever was left open inside it."""
        record.status = status
        record.results = results
        opened = self._open
        while opened and opened.pop() != record.number:
            pass

    def note(self, service: str, status: EfiStatus = SUCCESS, **arguments: Value) -> TraceRecord:
        """A record without an inside."""
        record = self.enter(service, **arguments)
        self.leave(record, status)
        return record

    @contextmanager
    def on_behalf_of(self, caller: str) -> Iterator[None]:
        """Name the caller of everything inside the block."""
        before, self.caller = self.caller, caller
        try:
            yield
        finally:
            self.caller = before

    def children(self, number: int) -> list[TraceRecord]:
        """What the call ``number`` caused directly."""
        return [record for record in self.records[number + 1 :] if record.parent == number]
