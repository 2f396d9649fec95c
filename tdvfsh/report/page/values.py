"""What the page shows, as plain values; its scripts read them as JSON.

Numbers stay small on purpose: a call's words stand once, in a shape, and a record is its shape and its numbers; the map
is its first state and a list of changes.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.history.boot_story import StoryStep, is_failure
from tdvfsh.history.facts import JournalFacts
from tdvfsh.history.painted_map import ACCEPTED_ONLY, HOLE, type_label
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.boots.compare_text import ComparedRow
from tdvfsh.report.modelled_text import range_text
from tdvfsh.report.trace_text import is_count, value_text
from tdvfsh.trace import Value
from tdvfsh.trace.file import TraceFile
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import human_size

_UNACCEPTED: Final = int(EfiMemoryType.EfiUnacceptedMemoryType)
_OUTSIDE_RAM: Final = frozenset({EfiMemoryType.EfiMemoryMappedIO, EfiMemoryType.EfiMemoryMappedIOPortSpace})
_HEX: Final = "\x01"
"""Stands in a shape for a number that is shown in hex."""
_DECIMAL: Final = "\x02"
_NO_MARKS: Final = {ord(_HEX): "\ufffd", ord(_DECIMAL): "\ufffd"}
_EXACT: Final = 1 << 53
"""Below it JavaScript's numbers are exact; larger ones are words of the shape."""


def page_values(
    facts: JournalFacts, compared: Sequence[ComparedRow] = (), opens_at: StoryStep | None = None
) -> dict[str, Any]:
    """Everything that the page's scripts read.

    Args:
        facts: The journal.
        compared: The same boot under other policies.
        opens_at: The step whose moment the page opens at; None for the end.

    ``records`` are ``[shape, records since the one that caused it (0 for none), nanoseconds since the one before,
    numbers...]``; ``shapes`` are ``[caller, service, arguments, status, results, failed]``.
    """
    shapes, kinds, statuses = _Numbered(), _Numbered(), _Numbered()
    rows = []
    time = 0
    for record in facts.file.records:
        numbers: list[int] = []
        given = _template(record.arguments, numbers)
        status = "" if record.status is None else record.status.name
        results = _template(record.results, numbers)
        shape = (record.caller, record.service, given, status, results, int(is_failure(record)))
        parent = 0 if record.parent < 0 else record.number - record.parent
        rows.append([shapes.index(shape), parent, record.time_ns - time, *numbers])
        time = record.time_ns
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
        "opensAt": None if opens_at is None else opens_at.number,
        "accepts": [
            [event.number, event.duration_ns, kinds.index((event.who, event.why)), event.start, event.accepted_bytes,
             event.calls, statuses.index(event.status), int(event.after_dma)]
            for event in facts.accepts
        ],
        "acceptKinds": kinds.things,
        "acceptStatuses": statuses.things,
        "shapes": shapes.things,
        "records": rows,
        "compared": [_compared_values(row) for row in compared],
    }  # fmt: skip


def _template(values: dict[str, Value], numbers: list[int]) -> str:
    """The values as a line of text in which marks stand for numbers; these are added to ``numbers``."""
    words = []
    for name, value in values.items():
        if value is None:
            continue
        if type(value) is int and 0 <= value < _EXACT:
            numbers.append(value)
            text = _DECIMAL if is_count(name) else _HEX
        else:
            text = value_text(name, value).translate(_NO_MARKS)
        words.append(f"{name.translate(_NO_MARKS)}={text}")
    return ", ".join(words)


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


class _Numbered:
    """Each thing once, by index."""

    def __init__(self) -> None:
        self.things: list[object] = []
        self._known: dict[object, int] = {}

    def index(self, thing: object) -> int:
        """The index of a thing, which is added where it is new."""
        known = self._known.get(thing)
        if known is None:
            known = self._known[thing] = len(self.things)
            self.things.append(thing)
        return known
