"""Success over memory and accept, as a drawing."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.lazy_typing import Final
from tdvfsh.sweep.drawing.shapes import LEFT, PLOT_WIDTH, Drawing, Rectangle, Shape, Words, panels_drawing, title_words
from tdvfsh.sweep.drawing.ticks import round_sizes
from tdvfsh.sweep.panels import NO_RESULT, SuccessPanel
from tdvfsh.sweep.row import BOOTS, ERROR, FAILS, NOT_STARTED
from tdvfsh.units import format_size

COLOURS: Final = {BOOTS: "#2a9d5c", FAILS: "#d1495b", NOT_STARTED: "#c9c9c9", ERROR: "#000000", NO_RESULT: "#ffffff"}
"""By outcome."""
ROW_HEIGHT: Final = 18
_TITLE: Final = "Where it boots: RAM (up) over what is accepted at boot (right)"
_GAP: Final = 10
_LETTER: Final = 6.5
_TICKS: Final = 9
_ABOVE: Final = 22
_BELOW: Final = 32


def success_drawing(panels: Sequence[SuccessPanel]) -> Drawing:
    """All panels: a rectangle for each scenario; sizes first, policies that have a name at the right."""
    met = {cell for panel in panels for line in panel.cells for cell in line}
    legend = [(outcome, COLOURS[outcome]) for outcome in (BOOTS, FAILS, NOT_STARTED, ERROR) if outcome in met]
    return panels_drawing(_TITLE, legend, panels, _height, _draw)


def _height(panel: SuccessPanel) -> float:
    return _ABOVE + ROW_HEIGHT * len(panel.memories) + _BELOW


def _draw(panel: SuccessPanel, x: float, y: float) -> list[Shape]:
    shapes: list[Shape] = [title_words(x, y, panel.title)]
    columns = list(zip(panel.accepts, _columns(panel.accepts), strict=True))
    top = y + _ABOVE
    lines = zip(reversed(panel.memories), reversed(panel.cells), reversed(panel.notes), strict=True)
    for memory, cells, notes in lines:
        shapes.append(Words(x + LEFT - 6, top + 13, format_size(memory), "end"))
        for (accept, (left, width)), outcome, note in zip(columns, cells, notes, strict=True):
            hint = f"{format_size(memory)}, accept {accept}: {note}"
            colour = COLOURS[outcome]
            shapes.append(
                Rectangle(x=x + LEFT + left, y=top, width=width, height=ROW_HEIGHT - 1, colour=colour, hint=hint)
            )
        top += ROW_HEIGHT
    named = _labelled(panel.accepts)
    shapes += [
        Words(x + LEFT + left + width / 2, top + 13, accept, "middle")
        for accept, (left, width) in columns
        if accept in named
    ]
    return shapes


def _is_size(accept: str) -> bool:
    policy = parse_boot_accept(accept)
    return policy.size is not None and not policy.add_images


def _columns(accepts: Sequence[str]) -> list[tuple[float, float]]:
    """``(left, width)`` of each: sizes share what policies with names, wide enough for these, leave over."""
    sizes = sum(map(_is_size, accepts))
    widths = [0 if _is_size(accept) else (len(accept) + 2) * _LETTER for accept in accepts]
    room = PLOT_WIDTH - (_GAP if 0 < sizes < len(accepts) else 0)
    share = min(1.0, room * (0.6 if sizes else 1.0) / (sum(widths) or 1.0))
    each = (room - sum(widths) * share) / max(sizes, 1)
    found, left, before = list[tuple[float, float]](), 0.0, True
    for accept, wide in zip(accepts, widths, strict=True):
        if before and not _is_size(accept) and found:
            left += _GAP
        before = _is_size(accept)
        width = each if before else wide * share
        found.append((left, width))
        left += width
    return found


def _labelled(accepts: Sequence[str]) -> set[str]:
    """The columns that get a label: all policies with a name, and some sizes, round ones where there are enough."""
    sizes = [(accept, parse_boot_accept(accept).size or 0) for accept in accepts if _is_size(accept)]
    named = {accept for accept in accepts if not _is_size(accept)}
    if len(sizes) <= _TICKS:
        return named | {accept for accept, _ in sizes}
    round_ones = set(round_sizes(sizes[0][1], sizes[-1][1], _TICKS))
    chosen = {accept for accept, size in sizes if size in round_ones}
    if len(chosen) < 2:
        chosen = {accept for accept, _ in sizes[:: -(-len(sizes) // _TICKS)]}
    return named | chosen
