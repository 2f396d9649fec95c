"""Drawings: rectangles, lines, dots and words on paper, for any renderer; and panels laid out on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import Final, TypeVar

T = TypeVar("T")

INK: Final = "#222222"
FAINT: Final = "#dddddd"
FONT_SIZE: Final = 11
PANEL_WIDTH: Final = 860
LEFT: Final = 90
PLOT_WIDTH: Final = 740
"""Of a panel, the part that has data in it; it begins at :data:`LEFT`."""
_HEAD: Final = 52


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
    colour: str = INK


_LONGEST_TITLE: Final = 100
"""Characters; a panel has room for so many in bold."""


def title_words(x: float, y: float, title: str) -> Words:
    """The title of a panel whose upper left corner is at (x, y), cut where it would reach into the next panel."""
    shown = title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"
    return Words(x + LEFT, y + 14, shown, bold=True)


Shape = Rectangle | Line | Dot | Words


@dataclass
class Drawing:
    """Shapes in the order in which they are put on white paper; sizes in pixels. ``title`` says what it shows."""

    width: float
    height: float
    shapes: list[Shape] = field(default_factory=list)
    title: str = ""


Draw = Callable[[T, float, float], list[Shape]]
"""Returns the shapes of a panel whose upper left corner is at (x, y)."""


def panels_drawing(
    title: str, legend: Sequence[tuple[str, str]], panels: Sequence[T], height: Callable[[T], float], draw: Draw[T]
) -> Drawing:
    """Panels below each other; side by side too, where they would be much higher than wide.

    Args:
        title: Of the whole.
        legend: ``(name, colour)``.
        panels: What to draw, in reading order: down, then right.
        height: Pixels that a panel needs.
        draw: Its shapes.
    """
    heights = [height(panel) for panel in panels]
    columns = max(1, round(sqrt(sum(heights) / PANEL_WIDTH)))
    tallest = max(sum(heights) / columns, *heights, 0) if heights else 0
    drawing = Drawing(PANEL_WIDTH, _HEAD, _head(title, legend), title)
    x, y = 0.0, float(_HEAD)
    for panel, tall in zip(panels, heights, strict=True):
        if y > _HEAD and y + tall / 2 > _HEAD + tallest:
            x, y = x + PANEL_WIDTH, _HEAD
        drawing.shapes += draw(panel, x, y)
        y += tall
        drawing.width, drawing.height = x + PANEL_WIDTH, max(drawing.height, y)
    return drawing


def _head(title: str, legend: Sequence[tuple[str, str]]) -> list[Shape]:
    shapes: list[Shape] = [Words(LEFT, 18, title, bold=True)]
    for number, (name, colour) in enumerate(legend):
        shapes += [Rectangle(LEFT + number * 130, 30, 12, 12, colour), Words(LEFT + number * 130 + 18, 40, name)]
    return shapes
