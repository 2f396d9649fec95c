"""A sweep for the terminal: totals, and success as a map of characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tdvfsh.report.table import printable
from tdvfsh.sweep.panels import NO_RESULT, SuccessPanel, success_panels
from tdvfsh.sweep.row import BOOTS, ERROR, FAILS, NOT_STARTED, Row
from tdvfsh.units import format_size

_MARKS: Final = {BOOTS: "#", FAILS: ".", NOT_STARTED: " ", ERROR: "!", NO_RESULT: "?"}
_LEGEND: Final = "# boots   . fails   (blank) the TD does not start   ! error"
_MOST_PANELS: Final = 12
_WIDEST: Final = 80


def summary_lines(rows: Sequence[Row]) -> list[str]:
    """How many scenarios ended how."""
    counts = Counter(str(row["outcome"]) for row in rows)
    parts = [f"{counts[outcome]} {outcome}" for outcome in (BOOTS, FAILS, NOT_STARTED, ERROR) if counts[outcome]]
    return [f"{len(rows)} scenarios: {', '.join(parts)}"]


def map_lines(rows: Sequence[Row]) -> list[str]:
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
    lines.append(f"  {'':{width}}  accept {accepts[0]} to {accepts[-1]}{every}")
    return lines
