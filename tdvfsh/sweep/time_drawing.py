"""Modelled time over accepted size, as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tdvfsh.report.modelled_text import range_text
from tdvfsh.sweep.drawing import FAINT, LEFT, PLOT_WIDTH, Dot, Drawing, Line, Shape, Words, panels_drawing
from tdvfsh.sweep.panels import TimePanel
from tdvfsh.sweep.ticks import round_sizes, round_steps
from tdvfsh.units import human_size

LINE_COLOURS: Final = {
    "none": "#444444",
    "allocator": "#1b6ca8",
    "loader": "#e07a1f",
    "loader-literal": "#8e44ad",
    "service": "#2a9d5c",
}
"""By on-demand option."""
_TITLE: Final = "Modelled seconds of accepting until the OS, low to high (up) over bytes accepted at boot (right)"
_PLOT_HEIGHT: Final = 180
_ABOVE: Final = 28
_BELOW: Final = 36
_SIZES: Final = 8
_STEPS: Final = 5


def time_drawing(panels: Sequence[TimePanel]) -> Drawing:
    """All panels: a line for each on-demand option, with a dot for each boot that succeeds, a gap where any fails."""
    legend = [(name, colour) for name, colour in LINE_COLOURS.items() if any(name in panel.lines for panel in panels)]
    return panels_drawing(_TITLE, legend, panels, lambda panel: _ABOVE + _PLOT_HEIGHT + _BELOW, _draw)


def _draw(panel: TimePanel, x: float, y: float) -> list[Shape]:
    shapes: list[Shape] = [Words(x + LEFT, y + 14, panel.title, bold=True)]
    points = [point for runs in panel.lines.values() for run in runs for point in run]
    sizes = [size for size, _ in points]
    low, span = min(sizes), max(max(sizes) - min(sizes), 1)
    steps = round_steps(max(time.high for _, time in points), _STEPS)
    bottom = y + _ABOVE + _PLOT_HEIGHT

    def place(size: int, seconds: float) -> tuple[float, float]:
        return x + LEFT + PLOT_WIDTH * (size - low) / span, bottom - _PLOT_HEIGHT * seconds / steps[-1]

    for step in steps:
        at = place(low, step)[1]
        shapes += [Line(((x + LEFT, at), (x + LEFT + PLOT_WIDTH, at)), FAINT)]
        shapes += [Words(x + LEFT - 6, at + 4, f"{step:.4g} s", "end")]
    for size in round_sizes(low, low + span, _SIZES):
        at = place(size, 0)[0]
        shapes += [Line(((at, bottom), (at, bottom + 4)), FAINT), Words(at, bottom + 16, human_size(size), "middle")]
    for number, (option, runs) in enumerate(panel.lines.items()):
        thickness = 2 + 1.5 * (len(panel.lines) - 1 - number)  # so that none hides another
        for run in runs:
            shapes.append(Line(tuple(place(size, time.likely) for size, time in run), LINE_COLOURS[option], thickness))
            for size, time in run:
                hint = f"{option}: {human_size(size)} at boot, modelled {range_text(time)}"
                shapes.append(Line((place(size, time.low), place(size, time.high)), LINE_COLOURS[option], 0.5))
                shapes.append(Dot(*place(size, time.likely), 2.5, LINE_COLOURS[option], hint))
    return shapes
