"""Converting memory between private and shared as edk2's library does, with a record in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tdvfsh.td.mapgpa import ConvertOutcome, set_memory_private, set_memory_shared

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
    machine.trace.leave(
        record,
        outcome.status,
        calls=outcome.calls,
        retries=outcome.retries,
        accepted_bytes=outcome.accept.accepted_bytes,
    )
    return outcome
