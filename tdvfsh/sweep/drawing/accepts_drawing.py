"""What systems accepted over time, as a drawing: a panel for each run, in which the acceptors stand on each other."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.engine.runs.os_run import OsRun
from tdvfsh.engine.tdx.page_accepts import Acceptor
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.report.accepts_over_time import accepted_over_time, acceptor_name
from tdvfsh.sweep.drawing.shapes import (
    FAINT,
    LEFT,
    PLOT_WIDTH,
    Drawing,
    Line,
    Rectangle,
    Shape,
    Words,
    panels_drawing,
    title_words,
)
from tdvfsh.sweep.drawing.ticks import round_sizes
from tdvfsh.units import human_size

_COLOURS: Final = ("#1b6ca8", "#e07a1f", "#2a9d5c", "#8e44ad", "#c0392b", "#7f8c8d")
_STEPS: Final = 185
_PLOT_HEIGHT: Final = 180
_ABOVE: Final = 28
_BELOW: Final = 40
_SIZES: Final = 6
_TIMES: Final = 5
_TITLE: Final = "Bytes that the kernel accepted (up) over virtual time from its first instruction on, by vCPU"
Colours = dict[Acceptor, str]


class AcceptPanel(NamedTuple):
    """A run and its title."""

    title: str
    run: OsRun


def accepts_drawing(panels: Sequence[AcceptPanel]) -> Drawing:
    """All runs below each other, on axes of their own."""
    acceptors = dict.fromkeys(moment.acceptor for panel in panels for moment in panel.run.moments)
    colours = {acceptor: _COLOURS[number % len(_COLOURS)] for number, acceptor in enumerate(acceptors)}
    legend = [(acceptor_name(acceptor).replace("vCPU ", ""), colour) for acceptor, colour in colours.items()]
    return panels_drawing(
        _TITLE, legend, panels, lambda panel: _ABOVE + _PLOT_HEIGHT + _BELOW,
        lambda panel, x, y: _draw(panel, colours, x, y),
    )  # fmt: skip


def _draw(panel: AcceptPanel, colours: Colours, x: float, y: float) -> list[Shape]:
    bottom, left, width = y + _ABOVE + _PLOT_HEIGHT, x + LEFT, PLOT_WIDTH / _STEPS
    moments = accepted_over_time(panel.run, _STEPS)
    highest = max(moments[-1].total, 1)
    shapes: list[Shape] = [title_words(x, y, panel.title)]
    for size in round_sizes(0, highest, _SIZES):
        at = bottom - _PLOT_HEIGHT * size / highest
        shapes += [Line(((left, at), (left + PLOT_WIDTH, at)), FAINT), Words(left - 6, at + 4, human_size(size), "end")]
    for number, until in enumerate(moments):
        base = bottom
        for acceptor, size in until.by.items():
            tall = _PLOT_HEIGHT * size / highest
            if tall:
                base -= tall
                hint = f"{acceptor_name(acceptor)}: {human_size(size)} after {until.seconds:.2f} s"
                shapes.append(Rectangle(left + number * width, base, width, tall, colour=colours[acceptor], hint=hint))
    for number in range(_TIMES + 1):
        at, seconds = left + PLOT_WIDTH * number / _TIMES, moments[-1].seconds * number / _TIMES
        shapes += [Line(((at, bottom), (at, bottom + 4)), FAINT), Words(at, bottom + 16, f"{seconds:.2f} s", "middle")]
    return shapes
