"""A journal looked at once: what was accepted, placed and done, and the memory map before and after."""

from __future__ import annotations

from tdvfsh.history.accept_events import AcceptEvent, accept_events
from tdvfsh.history.boot_story import PlacedThing, StoryStep, placed_things, story_steps
from tdvfsh.history.map_changes import MapChange, map_changes
from tdvfsh.history.painted_map import PaintedMap
from tdvfsh.lazy_typing import Final
from tdvfsh.trace.file import TraceFile
from tdvfsh.uefi.memory import EfiMemoryType

_UNACCEPTED: Final = int(EfiMemoryType.EfiUnacceptedMemoryType)


class JournalFacts:
    """Facts of a trace, computed once.

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
        self.accepts: list[AcceptEvent] = list(accept_events(records))
        self.steps: list[StoryStep] = story_steps(records, self.things)
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
        """Bytes accepted before DXE, or by the firmware that made the first map."""
        return self.ram_bytes - _bytes_of(self.first, _UNACCEPTED)

    @property
    def left_bytes(self) -> int:
        """Bytes that are unaccepted in the end."""
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
    def accept_range(self) -> tuple[float, float] | None:
        """Low and high seconds of the same, where the trace holds a boot that says them."""
        spans = ((self.file.boot or {}).get("modelled_seconds") or {}).get("range")
        if not spans:
            return None
        return sum(span[0] for span in spans.values()), sum(span[1] for span in spans.values())

    @property
    def limit(self) -> int:
        """Where the address space that matters ends: a power of two above everything in the map."""
        top = max([*(piece.end for piece in self.first), *(end for _, end in self.file.ram), 1])
        return 1 << (top - 1).bit_length()


def _bytes_of(painted: PaintedMap, memory_type: int) -> int:
    return sum(piece.end - piece.start for piece in painted if piece.memory_type == memory_type)
