"""A sweep for the terminal: totals, and success as a map of characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.schema import document
from tdvfsh.report.table import printable
from tdvfsh.sweep.check import Difference
from tdvfsh.sweep.panels import NO_RESULT, SuccessPanel, success_panels
from tdvfsh.sweep.row import BOOTS, ERROR, FAILS, NOT_STARTED, Row
from tdvfsh.units import format_size

_MARKS: Final = {BOOTS: "#", FAILS: ".", NOT_STARTED: " ", ERROR: "!", NO_RESULT: "?"}
_LEGEND: Final = "# boots   . fails   (blank) the TD does not start   ! error"
_MOST_PANELS: Final = 12
_WIDEST: Final = 80
_RULED: Final = 12


def summary_lines(rows: Collection[Row]) -> list[str]:
    """How many scenarios ended how."""
    counts = Counter(str(row["outcome"]) for row in rows)
    parts = [f"{counts[outcome]} {outcome}" for outcome in (BOOTS, FAILS, NOT_STARTED, ERROR) if counts[outcome]]
    return [f"{len(rows)} scenarios: {', '.join(parts)}"]


def sweep_dict(
    rows: Collection[Row], files: Sequence[Path], run: int, differences: Sequence[Difference] | None
) -> dict[str, Any]:
    """The same as plain values: totals, how many were run now, files written, and what a baseline says."""
    counts = Counter(str(row["outcome"]) for row in rows)
    members = {
        "scenarios": len(rows),
        "run": run,
        "outcomes": {outcome: counts[outcome] for outcome in (BOOTS, FAILS, NOT_STARTED, ERROR)},
        "files": [str(file) for file in files],
        "differences": None
        if differences is None
        else [{"kind": difference.kind, "what": difference.line} for difference in differences],
    }
    return document("sweep", members)


def map_lines(rows: Collection[Row]) -> list[str]:
    """Success over memory and accept, a character for each scenario; the first panels where there are many."""
    panels = [panel for panel in success_panels(rows) if len(panel.accepts) > 1]
    lines: list[str] = []
    for panel in panels[:_MOST_PANELS]:
        lines += ["", *_panel_lines(panel)]
    if not lines:
        return []
    if len(panels) > _MOST_PANELS:
        lines += ["", f"and {len(panels) - _MOST_PANELS} more: --plot draws them all"]
    return [*lines, "", _LEGEND]


def _panel_lines(panel: SuccessPanel) -> list[str]:
    stride = -(-len(panel.accepts) // _WIDEST)
    accepts, every = panel.accepts[::stride], "" if stride == 1 else f", one of {stride} shown"
    labels = [format_size(memory) for memory in panel.memories]
    width = max(len(label) for label in labels)
    lines = [printable(panel.title)]
    for label, cells in zip(reversed(labels), reversed(panel.cells), strict=True):
        lines.append(f"  {label:>{width}} |{''.join(_MARKS.get(cell, '?') for cell in cells[::stride])}|")
    if len(accepts) > _RULED:
        lines.append(f"  {'':{width}}  {_ruler(accepts)}")
    lines.append(f"  {'':{width}}  accept {accepts[0]} to {accepts[-1]}{every}")
    return lines


def _ruler(accepts: Sequence[str]) -> str:
    """A label every few columns, begun by a stroke below the column that it names."""
    return "".join(f"|{accept}".ljust(_RULED)[:_RULED] for accept in accepts[::_RULED]).rstrip()
