"""Converting memory between private and shared as edk2's library does, with a record in the journal."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.td.accept import AcceptOutcome
from tdvfsh.td.mapgpa import ConvertOutcome, set_memory_private, set_memory_shared
from tdvfsh.trace.accepts import close_accept, open_accept

if TYPE_CHECKING:
    from tdvfsh.machine.machine import Machine


def convert_memory(machine: Machine, start: int, size: int, shared: bool) -> ConvertOutcome:
    """MemEncryptTdxSetPageSharedBit or its opposite for ``size`` bytes from ``start``.

    Returns:
        What it did; see :func:`tdvfsh.td.mapgpa.set_memory_shared`.
    """
    service = "MapGPA to shared" if shared else "MapGPA to private"
    record = machine.trace.enter(service, start=start, size=size)
    outcome = (set_memory_shared if shared else set_memory_private)(machine.td, start, size)
    if not shared and outcome.accept.calls:
        _note_accept(machine, start, size, outcome.accept)
    machine.trace.leave(
        record,
        outcome.status,
        calls=outcome.calls,
        retries=outcome.retries,
        accepted_bytes=outcome.accept.accepted_bytes,
    )
    return outcome


def _note_accept(machine: Machine, start: int, size: int, accept: AcceptOutcome) -> None:
    """The accepts of a conversion; they took the last part of its time."""
    duration = machine.td.cost.nanoseconds(accept)
    leaf = open_accept(machine.trace, start, size)
    leaf.time_ns -= duration
    close_accept(machine.trace, leaf, accept, accept.completion, accept.status, duration_ns=duration)
