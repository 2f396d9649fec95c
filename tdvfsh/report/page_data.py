"""What the page shows, as plain values; its scripts read them as JSON.

Numbers stay small on purpose: records are rows of text and indices, the map is its first state and a list of changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tdvfsh.report.accept_events import AcceptEvent, accept_events
from tdvfsh.report.boot_story import PlacedThing, StoryStep, placed_things, story_steps
from tdvfsh.report.compare_text import ComparedRow
from tdvfsh.report.map_changes import MapChange, map_changes
from tdvfsh.report.painted_map import ACCEPTED_ONLY, HOLE, PaintedMap, type_label
from tdvfsh.report.trace_text import values_text
from tdvfsh.trace import TraceRecord
from tdvfsh.trace.file import TraceFile
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import human_size

_UNACCEPTED: Final = int(EfiMemoryType.EfiUnacceptedMemoryType)
_OUTSIDE_RAM: Final = frozenset({EfiMemoryType.EfiMemoryMappedIO, EfiMemoryType.EfiMemoryMappedIOPortSpace})


class PageFacts:
    """A trace, looked at once.

    Attributes:
        file: The trace.
        changes: The map's changes.
        things: The boot's placements in time.
        steps: The boot's steps.
        accepts: The accepts.
        first: The first map.
        last: The last map.
    """

    def __init__(self, file: TraceFile) -> None:
        self.file = file
        records = file.records
        self.changes: list[MapChange] = map_changes(file.memory_map, records)
        self.things: list[PlacedThing] = placed_things(file.boot, records)
        self.steps: list[StoryStep] = story_steps(records, self.things)
        self.accepts: list[AcceptEvent] = list(accept_events(records))
        self.first = PaintedMap(file.memory_map)
        self.last = PaintedMap(file.memory_map)
        for change in self.changes:
            self.last.paint(change.start, change.end, change.memory_type)

    @property
    def ram_bytes(self) -> int:
        """All RAM."""
        return sum(end - start for start, end in self.file.ram)

    @property
    def boot_bytes(self) -> int:
        """Bytes accepted before DXE, or by whoever made the first map."""
        return self.ram_bytes - _bytes_of(self.first, _UNACCEPTED)

    @property
    def left_bytes(self) -> int:
        """Bytes that nobody has accepted in the end."""
        return _bytes_of(self.last, _UNACCEPTED)

    @property
    def on_demand_bytes(self) -> int:
        """Bytes accepted between the first map and the last."""
        return self.ram_bytes - self.boot_bytes - self.left_bytes

    @property
    def accept_ns(self) -> int:
        """Modelled nanoseconds of all accepts."""
        return sum(event.duration_ns for event in self.accepts)

    @property
    def limit(self) -> int:
        """Where the address space that matters ends: a power of two above everything in the map."""
        top = max([*(piece.end for piece in self.first), *(end for _, end in self.file.ram), 1])
        return 1 << (top - 1).bit_length()


def page_values(facts: PageFacts, compared: Sequence[ComparedRow] = ()) -> dict[str, Any]:
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
             event.calls, event.status]
            for event in facts.accepts
        ],
        "callers": callers.names,
        "services": services.names,
        "statuses": statuses.names,
        "records": rows,
        "compared": [_compared_values(row) for row in compared],
    }  # fmt: skip


def _compared_values(row: ComparedRow) -> list[object]:
    seconds = row.boot_accept_seconds + row.on_demand_accept_seconds
    return [
        row.accept, row.loader, row.on_demand, int(row.booted), row.status, row.stage, row.boot_bytes,
        row.on_demand_bytes, row.left_to_os_bytes, seconds,
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


def _bytes_of(painted: PaintedMap, memory_type: int) -> int:
    return sum(piece.end - piece.start for piece in painted if piece.memory_type == memory_type)
