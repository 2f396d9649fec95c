"""Plots as shapes on paper: rectangles, lines, dots and words, for whoever renders them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tdvfsh.sweep.panels import NO_RESULT, SuccessPanel, TimePanel
from tdvfsh.sweep.row import BOOTS, ERROR, FAILS, NOT_STARTED
from tdvfsh.units import format_size, human_size

COLOURS: Final = {BOOTS: "#2a9d5c", FAILS: "#d1495b", NOT_STARTED: "#c9c9c9", ERROR: "#000000", NO_RESULT: "#ffffff"}
"""By outcome."""
LINE_COLOURS: Final = ("#1b6ca8", "#e07a1f", "#2a9d5c", "#8e44ad", "#d1495b", "#555555")
FONT_SIZE: Final = 11

_INK: Final = "#222222"
_FAINT: Final = "#dddddd"
_WIDTH: Final = 860
_LEFT: Final = 90
_RIGHT: Final = 20
_PLOT: Final = _WIDTH - _LEFT - _RIGHT
_ROW: Final = 18
_TIME_HEIGHT: Final = 180
_TICKS: Final = 6


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A filled rectangle; ``hint`` shows where one points at it."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by straight lines."""

    points: tuple[tuple[float, float], ...]
    colour: str
    thickness: float = 1


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    colour: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """Text whose baseline begins, has its middle or ends at a point: ``anchor`` is start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    bold: bool = False
    colour: str = _INK


Shape = Rectangle | Line | Dot | Words


@dataclass
class Drawing:
    """Shapes in the order in which they are put on white paper; sizes in pixels."""

    height: float = 0
    width: int = _WIDTH
    shapes: list[Shape] = field(default_factory=list)


def success_drawing(panels: Sequence[SuccessPanel]) -> Drawing:
    """All panels below each other: success over memory (up) and accept (right)."""
    drawing = Drawing(40)
    add = drawing.shapes.append
    for number, outcome in enumerate((BOOTS, FAILS, NOT_STARTED, ERROR)):
        add(Rectangle(_LEFT + number * 130, 8, 12, 12, COLOURS[outcome]))
        add(Words(_LEFT + number * 130 + 18, 18, outcome))
    for panel in panels:
        y = drawing.height + 8
        add(Words(_LEFT, drawing.height, panel.title, bold=True))
        width = _PLOT / len(panel.accepts)
        lines = zip(reversed(panel.memories), reversed(panel.cells), reversed(panel.notes), strict=True)
        for memory, cells, notes in lines:
            add(Words(_LEFT - 6, y + 13, format_size(memory), "end"))
            for column, (outcome, note) in enumerate(zip(cells, notes, strict=True)):
                hint = f"{format_size(memory)}, accept {panel.accepts[column]}: {note}"
                add(Rectangle(_LEFT + column * width, y, width, _ROW, COLOURS.get(outcome, _INK), hint))
            y += _ROW
        for column in _spread(len(panel.accepts)):
            add(Words(_LEFT + (column + 0.5) * width, y + 13, panel.accepts[column], "middle"))
        drawing.height = y + 44
    return drawing


def time_drawing(panels: Sequence[TimePanel]) -> Drawing:
    """All panels below each other: modelled seconds (up) over bytes accepted at boot (right), a line an option."""
    drawing = Drawing(20)
    for panel in panels:
        _draw_times(drawing, panel, drawing.height + 10)
        drawing.height += _TIME_HEIGHT + 72
    return drawing


def _draw_times(drawing: Drawing, panel: TimePanel, top: float) -> None:
    add = drawing.shapes.append
    sizes = [size for line in panel.lines.values() for size, _ in line]
    low, span = min(sizes), max(max(sizes) - min(sizes), 1)
    slowest = max(seconds for line in panel.lines.values() for _, seconds in line) or 1.0
    bottom = top + _TIME_HEIGHT
    add(Words(_LEFT, top - 10, panel.title, bold=True))
    for tick in range(_TICKS):
        share = tick / (_TICKS - 1)
        at = bottom - _TIME_HEIGHT * share
        add(Line(((_LEFT, at), (_LEFT + _PLOT, at)), _FAINT))
        add(Words(_LEFT - 6, at + 4, f"{slowest * share:.3g} s", "end"))
        add(Words(_LEFT + _PLOT * share, bottom + 15, human_size(low + round(span * share)), "middle"))
    for number, (option, line) in enumerate(panel.lines.items()):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        points = tuple(
            (_LEFT + _PLOT * (size - low) / span, bottom - _TIME_HEIGHT * seconds / slowest) for size, seconds in line
        )
        add(Line(points, colour, 2 + 1.5 * (len(panel.lines) - 1 - number)))  # so that none hides another
        for (x, y), (size, seconds) in zip(points, line, strict=True):
            add(Dot(x, y, 2.5, colour, f"{option}: {human_size(size)} at boot, modelled {seconds:.4f} s"))
        left = _LEFT + number * 130
        add(Line(((left, bottom + 28), (left + 14, bottom + 28)), colour, 3))
        add(Words(left + 20, bottom + 32, option, colour=colour))


def _spread(count: int) -> list[int]:
    """Up to :data:`_TICKS` positions from the first to the last."""
    ticks = min(count, _TICKS)
    return sorted({round(tick * (count - 1) / max(ticks - 1, 1)) for tick in range(ticks)})
