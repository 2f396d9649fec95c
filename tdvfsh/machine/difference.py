"""What changed between two snapshots: ranges of three maps, handles, counters, virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from tdvfsh.dxe.memory.get_memory_map import build_memory_map
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.machine.snapshot import MachineSnapshot
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.memory import EfiGcdMemoryType, EfiMemoryType, memory_type_name

if TYPE_CHECKING:
    from tdvfsh.machine.options import TdOptions

Span = tuple[int, int, str]

MEMORY_MAP: Final = "MemoryMap"
GCD: Final = "GcdMap"
SEPT: Final = "SecureEpt"
SHARED: Final = "Shared"
_ACCEPTED: Final = "MAPPED"
_LABELS: Final = {int(member): member.label for member in EfiMemoryType}


@dataclass(frozen=True, slots=True)
class RangeChange:
    """Bytes ``[start, end)`` of one map that are something else now; None stands for nothing there.

    Attributes:
        map_name: ``MemoryMap``, ``GcdMap``, ``SecureEpt`` or ``Shared``.
        start: First byte.
        end: First byte after it.
        before: What it was.
        after: What it is.
    """

    map_name: str
    start: int
    end: int
    before: str | None
    after: str | None

    @property
    def accepted(self) -> bool:
        """Whether these pages were accepted between the two moments."""
        return self.map_name == SEPT and self.after == _ACCEPTED and self.before != "BLOCKED"


@dataclass(frozen=True, slots=True)
class HandleChange:
    """A handle whose protocols are others now; no protocols stand for no handle."""

    handle: int
    before: tuple[Guid, ...]
    after: tuple[Guid, ...]


@dataclass(frozen=True, slots=True, repr=False)
class MachineDifference:
    """The differences between two moments.

    Attributes:
        ranges: Changes of the maps, map by map, ascending.
        handles: Changed handles.
        options: ``(name, before, after)`` of options that differ: another machine.
        map_key: The map key then and now.
        time_ns: Modelled nanoseconds that have passed; negative where the second moment is the earlier one.
        accepted_bytes: Bytes more that are accepted.
        tdcalls: TDCALLs more that were made.
        records: Records more in the journal.
        at_runtime: Whether boot services were gone then, and now.
    """

    ranges: tuple[RangeChange, ...]
    handles: tuple[HandleChange, ...]
    options: tuple[tuple[str, str, str], ...]
    map_key: tuple[int, int]
    time_ns: int
    accepted_bytes: int
    tdcalls: int
    records: int
    at_runtime: tuple[bool, bool]

    def __repr__(self) -> str:
        if self.is_empty:
            return "<MachineDifference: none>"
        return (
            f"<MachineDifference: {len(self.ranges)} ranges, {len(self.handles)} handles, "
            f"{self.accepted_bytes:+,} bytes accepted, {self.records:+} records>"
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        counts = (self.time_ns, self.accepted_bytes, self.tdcalls, self.records)
        same_pairs = self.map_key[0] == self.map_key[1] and self.at_runtime[0] == self.at_runtime[1]
        return not (self.ranges or self.handles or self.options or any(counts)) and same_pairs


def difference(before: MachineSnapshot, after: MachineSnapshot) -> MachineDifference:
    """The changes that turn ``before`` into ``after``."""
    ranges: list[RangeChange] = []
    if before.core is not after.core:
        ranges += changed_ranges(MEMORY_MAP, _memory_map(before), _memory_map(after))
        ranges += changed_ranges(GCD, _gcd(before), _gcd(after))
    if before.td is not after.td:
        ranges += changed_ranges(SEPT, _sept(before), _sept(after))
        ranges += changed_ranges(SHARED, _shared(before), _shared(after))
    return MachineDifference(
        ranges=tuple(ranges),
        handles=tuple(_handle_changes(before, after)),
        options=tuple(_option_changes(before.options, after.options)),
        map_key=(before.core.memory_map.key, after.core.memory_map.key),
        time_ns=after.now_ns - before.now_ns,
        accepted_bytes=after.td.accepted_bytes - before.td.accepted_bytes,
        tdcalls=after.td.tdcall.calls - before.td.tdcall.calls,
        records=after.record_count - before.record_count,
        at_runtime=(before.core.at_runtime, after.core.at_runtime),
    )


def changed_ranges(map_name: str, before: Iterable[Span], after: Iterable[Span]) -> Iterator[RangeChange]:
    """The pieces in which two maps differ; neighbours that changed alike are one."""
    old, new = sorted(before), sorted(after)
    edges = sorted({edge for start, end, _ in (*old, *new) for edge in (start, end)})
    pending: RangeChange | None = None
    at_old = at_new = 0
    for start, end in pairwise(edges):
        while at_old < len(old) and old[at_old][1] <= start:
            at_old += 1
        while at_new < len(new) and new[at_new][1] <= start:
            at_new += 1
        was, now = _value(old, at_old, start), _value(new, at_new, start)
        if was == now:
            continue
        if pending is not None and (pending.end, pending.before, pending.after) == (start, was, now):
            pending = RangeChange(map_name, pending.start, end, was, now)
            continue
        if pending is not None:
            yield pending
        pending = RangeChange(map_name, start, end, was, now)
    if pending is not None:
        yield pending


def _value(spans: list[Span], index: int, address: int) -> str | None:
    return spans[index][2] if index < len(spans) and spans[index][0] <= address else None


def _memory_map(snapshot: MachineSnapshot) -> list[Span]:
    core = snapshot.core
    descriptors = build_memory_map(core.memory_map, core.bins, core.gcd, core.profile).descriptors
    return [(entry.physical_start, entry.physical_end, _label(entry.memory_type)) for entry in descriptors]


def _label(memory_type: int) -> str:
    return _LABELS.get(memory_type) or memory_type_name(memory_type)


def _gcd(snapshot: MachineSnapshot) -> list[Span]:
    nothing = EfiGcdMemoryType.EfiGcdMemoryTypeNonExistent
    return [
        (entry.start, entry.end, entry.memory_type.name.removeprefix("EfiGcdMemoryType"))
        for entry in snapshot.core.gcd
        if entry.memory_type != nothing
    ]


def _sept(snapshot: MachineSnapshot) -> list[Span]:
    spans = []
    for ram in snapshot.td.ram.spans:
        spans += [(low, high, entry.state.name) for low, high, entry in snapshot.td.sept.spans(ram.start, ram.end)]
    return spans


def _shared(snapshot: MachineSnapshot) -> list[Span]:
    return [(low, high, "shared") for low, high, _ in snapshot.td.shared.spans()]


def _handle_changes(before: MachineSnapshot, after: MachineSnapshot) -> Iterator[HandleChange]:
    old, new = before.core.handles, after.core.handles
    for handle in sorted({*old, *new}):
        was, now = tuple(old.protocols(handle)), tuple(new.protocols(handle))
        if was != now:
            yield HandleChange(handle, was, now)


def _option_changes(before: TdOptions, after: TdOptions) -> Iterator[tuple[str, str, str]]:
    old, new = before.as_dict(), after.as_dict()
    for name, value in new.items():
        if old.get(name) != value:
            yield name, str(old.get(name)), str(value)
