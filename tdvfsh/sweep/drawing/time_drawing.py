"""Modelled time over accepted size, as a drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import dist

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.report.modelled_text import ModelledSeconds, range_text
from tdvfsh.sweep.drawing.shapes import (
    FAINT,
    LEFT,
    PLOT_WIDTH,
    Dot,
    Drawing,
    Line,
    Shape,
    Words,
    panels_drawing,
    title_words,
)
from tdvfsh.sweep.drawing.ticks import round_sizes
from tdvfsh.sweep.drawing.time_axis import TimeAxis
from tdvfsh.sweep.panels import TimePanel
from tdvfsh.units import human_size

LINE_COLOURS: Final = {
    "none": "#444444",
    "allocator": "#1b6ca8",
    "loader": "#e07a1f",
    "loader-literal": "#8e44ad",
    "service": "#2a9d5c",
}
"""By on-demand option."""
_TITLE: Final = "Modelled seconds of accepting until the OS (up, logarithmic, low to high) over bytes accepted at boot"
_PLOT_HEIGHT: Final = 180
_ABOVE: Final = 28
_BELOW: Final = 36
_SIZES: Final = 8
_THICK: Final = 2.5
_DASH: Final = 8.0
"""Pixels of each colour where lines lie on each other."""
_RING: Final = 1.8
_APART: Final = 3.0
"""Pixels; lines and dots that are nearer to each other count as lying on each other."""

_Place = tuple[float, float]


class _Point(NamedTuple):
    """A boot in the plot."""

    option: str
    size: int
    time: ModelledSeconds
    place: _Place


def time_drawing(panels: Sequence[TimePanel]) -> Drawing:
    """All panels: a line for each on-demand option, with a dot for each boot that succeeds, a gap where any fails.

    Where lines lie on each other their colours take turns along the line, and their dots are rings around each other.
    """
    legend = [(name, colour) for name, colour in LINE_COLOURS.items() if any(name in panel.lines for panel in panels)]
    return panels_drawing(_TITLE, legend, panels, lambda panel: _ABOVE + _PLOT_HEIGHT + _BELOW, _draw)


def _draw(panel: TimePanel, x: float, y: float) -> list[Shape]:
    shapes: list[Shape] = [title_words(x, y, panel.title)]
    points = [point for runs in panel.lines.values() for run in runs for point in run]
    sizes = [size for size, _ in points]
    low, span = min(sizes), max(max(sizes) - min(sizes), 1)
    axis = TimeAxis(time for _, time in points)
    bottom = y + _ABOVE + _PLOT_HEIGHT

    def place(size: int, seconds: float) -> _Place:
        return x + LEFT + PLOT_WIDTH * (size - low) / span, bottom - _PLOT_HEIGHT * axis.share(seconds)

    for step in axis.steps:
        at = place(low, step)[1]
        shapes += [Line(((x + LEFT, at), (x + LEFT + PLOT_WIDTH, at)), FAINT)]
        shapes += [Words(x + LEFT - 6, at + 4, f"{step:.4g} s", "end")]
    for size in round_sizes(low, low + span, _SIZES):
        at = place(size, 0)[0]
        shapes += [Line(((at, bottom), (at, bottom + 4)), FAINT), Words(at, bottom + 16, human_size(size), "middle")]
    runs = [
        [_Point(option, size, time, place(size, time.likely)) for size, time in run]
        for option, runs in panel.lines.items()
        for run in runs
    ]
    shapes += _lines([pair for run in runs for pair in pairwise(run)])
    drawn = [point for run in runs for point in run]
    for point in drawn:
        at, spread = _ring(point, drawn)
        (across, _), colour = point.place, LINE_COLOURS[point.option]
        ends = (place(point.size, point.time.low)[1], place(point.size, point.time.high)[1])
        shapes.append(Line(((across + spread, ends[0]), (across + spread, ends[1])), colour, 0.5))
        hint = f"{point.option}: {human_size(point.size)} at boot, modelled {range_text(point.time)}"
        shapes.append(Dot(*point.place, at, colour, hint))
    return shapes


def _lines(pairs: Sequence[tuple[_Point, _Point]]) -> Iterable[Line]:
    """The lines from point to point; those on each other as dashes that take turns."""
    from_x: dict[float, list[tuple[_Point, _Point]]] = {}
    for pair in pairs:
        from_x.setdefault(pair[0].place[0], []).append(pair)
    for first, last in pairs:
        alike = [
            begin.option
            for begin, end in from_x[first.place[0]]
            if dist(begin.place, first.place) <= _APART and dist(end.place, last.place) <= _APART
        ]
        colour = LINE_COLOURS[first.option]
        if len(alike) == 1:
            yield Line((first.place, last.place), colour, _THICK)
        else:
            yield from _dashes(first.place, last.place, alike.index(first.option), len(alike), colour)


def _dashes(first: _Place, last: _Place, turn: int, turns: int, colour: str) -> Iterable[Line]:
    """Every ``turns``-th dash, from the ``turn``-th on."""
    length = dist(first, last)
    count = max(1, round(length / (_DASH * turns))) * turns

    def at(share: float) -> _Place:
        return first[0] + (last[0] - first[0]) * share, first[1] + (last[1] - first[1]) * share

    for number in range(turn, count, turns):
        yield Line((at(number / count), at((number + 1) / count)), colour, _THICK)


def _ring(point: _Point, points: Sequence[_Point]) -> tuple[float, float]:
    """The radius of a point's dot, and how far its range stands aside: earlier ones lie around later ones."""
    alike = [each.option for each in points if dist(each.place, point.place) <= _APART]
    turn = alike.index(point.option)
    return 2.5 + _RING * (len(alike) - 1 - turn), 2.0 * (turn - (len(alike) - 1) / 2)
