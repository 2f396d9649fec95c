"""What each step of a boot asked of the firmware and what it got, out of the journal."""

from __future__ import annotations

from typing import Final, NamedTuple

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.trace import TraceRecord
from tdvfsh.units import human_size

_ALLOCATIONS: Final = {"AllocatePages": "memory", "AllocatePool": "buffer"}
_ANY: Final = "AllocateAnyPages"
_MAX: Final = "AllocateMaxAddress"
_NO_LIMIT: Final = (1 << 64) - 1


class AskedStep(NamedTuple):
    """One placement: what, bytes, by which call and within which limit, where it went, and whether it is gone again."""

    what: str
    size: int
    call: str
    start: int
    freed: bool


def asked_steps(result: BootResult) -> list[AskedStep]:
    """The placements of a boot with the calls behind them."""
    by_start: dict[int, list[TraceRecord]] = {}
    for record in result.machine.trace:
        name = _ALLOCATIONS.get(record.service)
        start = record.results.get(name) if name is not None else None
        if isinstance(start, int) and record.status is not None and not record.status.is_error:
            by_start.setdefault(start, []).append(record)
    steps = []
    for placement in result.placements:
        records = by_start.get(placement.start)
        call = _call(records.pop(0) if len(records) > 1 else records[0]) if records else "inside an earlier block"
        steps.append(AskedStep(placement.what, placement.size, call, placement.start, placement.freed))
    return steps


def _call(record: TraceRecord) -> str:
    if record.service == "AllocatePool":
        return "AllocatePool, anywhere"
    kind, memory = record.arguments.get("allocate_type"), record.arguments.get("memory")
    if kind == _ANY:
        return "AllocatePages, anywhere"
    if kind == _MAX:
        limit = memory if isinstance(memory, int) else _NO_LIMIT
        if limit < _NO_LIMIT - 0xFFF:
            return f"AllocatePages below {human_size(limit + 1)}"
        return "AllocatePages, anywhere"
    return "AllocatePages at an address of its own choice"
