"""What the page shows, as plain values; its scripts read them as JSON.

Numbers stay small on purpose: records are rows of text and indices, the map is its first state and a list of changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tdvfsh.history.facts import JournalFacts
from tdvfsh.history.painted_map import ACCEPTED_ONLY, HOLE, type_label
from tdvfsh.report.boots.compare_text import ComparedRow
from tdvfsh.report.modelled_text import range_text
from tdvfsh.report.trace_text import values_text
from tdvfsh.trace import TraceRecord
from tdvfsh.trace.file import TraceFile
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import human_seconds, human_size

_UNACCEPTED: Final = int(EfiMemoryType.EfiUnacceptedMemoryType)
_OUTSIDE_RAM: Final = frozenset({EfiMemoryType.EfiMemoryMappedIO, EfiMemoryType.EfiMemoryMappedIOPortSpace})


def page_values(facts: JournalFacts, compared: Sequence[ComparedRow] = ()) -> dict[str, Any]:
    """Everything that the page's scripts read."""
    records = facts.file.records
    callers, services, statuses = _Names(), _Names(), _Names()
    rows = [
        [
            record.parent,
            record.time_ns,
            callers.index(record.caller),
            services.index(record.service),
            values_text(record.arguments),
            statuses.index("" if record.status is None else record.status.name),
            values_text(record.results),
            int(_counts_as_failure(record)),
        ]
        for record in records
    ]
    seen = {piece.memory_type for piece in facts.first} | {change.memory_type for change in facts.changes}
    return {
        "limit": facts.limit,
        "ram": facts.file.ram,
        "first": [[*piece] for piece in facts.first],
        "changes": [[*change] for change in facts.changes],
        "types": {str(kind): type_label(kind) for kind in sorted(seen)},
        "unaccepted": _UNACCEPTED,
        "acceptedOnly": ACCEPTED_ONLY,
        "hole": HOLE,
        "outside": sorted(int(kind) for kind in _OUTSIDE_RAM),
        "things": [[*thing] for thing in facts.things],
        "steps": [step.number for step in facts.steps],
        "accepts": [
            [event.number, event.time_ns, event.duration_ns, event.who, event.why, event.start, event.accepted_bytes,
             event.calls, event.status, int(event.after_dma), human_seconds(event.duration_ns / 1e9)]
            for event in facts.accepts
        ],
        "callers": callers.names,
        "services": services.names,
        "statuses": statuses.names,
        "records": rows,
        "compared": [_compared_values(row) for row in compared],
    }  # fmt: skip


def _compared_values(row: ComparedRow) -> list[object]:
    return [
        row.accept, row.loader, row.on_demand, int(row.booted), row.status, row.stage, row.boot_bytes,
        row.on_demand_bytes, row.left_to_os_bytes, range_text(row.time),
    ]  # fmt: skip


def facts_line(file: TraceFile) -> str:
    """The TD in a line, from the options that the trace was written with."""
    td = file.td
    kind = "TD" if td.get("td", True) else "plain VM"
    words = [
        f"{human_size(int(td['memory']))} {kind}",
        "1 vCPU" if td.get("vcpus") == 1 else f"{td.get('vcpus')} vCPUs",
        f"firmware {td.get('firmware_model')}",
        f"loader {td.get('loader')}",
        f"accept {td.get('accept')} at boot",
        f"on demand: {td.get('on_demand')}",
    ]
    if td.get("td", True) and td.get("cost"):
        words.append(f"cost {', '.join(td['cost'])}")
    return ", ".join(words)


class _Names:
    """Each name once, by index."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._known: dict[str, int] = {}

    def index(self, name: str) -> int:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = len(self.names)
            self.names.append(name)
        return known


def _counts_as_failure(record: TraceRecord) -> bool:
    return record.status is not None and record.status.is_error
