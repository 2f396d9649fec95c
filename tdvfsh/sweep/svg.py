"""Plots as SVG: rectangles, lines and words, nothing else; any browser or word processor shows them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from tdvfsh.sweep.panels import NO_RESULT, SuccessPanel, TimePanel
from tdvfsh.sweep.row import BOOTS, ERROR, FAILS, NOT_STARTED
from tdvfsh.units import format_size, human_size

COLOURS: Final = {BOOTS: "#2a9d5c", FAILS: "#d1495b", NOT_STARTED: "#c9c9c9", ERROR: "#000000", NO_RESULT: "#ffffff"}
"""By outcome; distinguishable also without red and green by their lightness."""
LINE_COLOURS: Final = ("#1b6ca8", "#e07a1f", "#2a9d5c", "#8e44ad", "#d1495b", "#555555")

_FONT: Final = 'font-family="sans-serif" font-size="11"'
_WIDTH: Final = 860
_LEFT: Final = 90
_RIGHT: Final = 20
_PLOT: Final = _WIDTH - _LEFT - _RIGHT
_ROW: Final = 18
_TIME_HEIGHT: Final = 180
_TICKS: Final = 6


def success_svg(panels: Sequence[SuccessPanel]) -> str:
    """All panels below each other: success over memory (up) and accept (right)."""
    parts, y = [_legend()], 40.0
    for panel in panels:
        parts.append(_text(_LEFT, y, panel.title, bold=True))
        y += 8
        width = _PLOT / len(panel.accepts)
        for memory, cells, notes in zip(
            reversed(panel.memories), reversed(panel.cells), reversed(panel.notes), strict=True
        ):
            parts.append(_text(_LEFT - 6, y + 13, format_size(memory), anchor="end"))
            for column, (outcome, note) in enumerate(zip(cells, notes, strict=True)):
                hint = f"{format_size(memory)}, accept {panel.accepts[column]}: {note}"
                parts.append(
                    f'<rect x="{_LEFT + column * width:.2f}" y="{y:.0f}" width="{width:.2f}" height="{_ROW}" '
                    f'fill="{COLOURS.get(outcome, "#000000")}"><title>{escape(hint)}</title></rect>'
                )
            y += _ROW
        for column in _spread(len(panel.accepts)):
            parts.append(_text(_LEFT + (column + 0.5) * width, y + 13, panel.accepts[column], anchor="middle"))
        y += 44
    return _document(y, parts)


def time_svg(panels: Sequence[TimePanel]) -> str:
    """All panels below each other: modelled seconds (up) over bytes accepted at boot (right), a line an option."""
    parts, y = [], 20.0
    for panel in panels:
        points = [point for line in panel.lines.values() for point in line]
        low, high = min(size for size, _ in points), max(size for size, _ in points)
        top = max(seconds for _, seconds in points) or 1.0
        parts.append(_text(_LEFT, y, panel.title, bold=True))
        y += 10
        for tick in range(_TICKS):
            share = tick / (_TICKS - 1)
            at = y + _TIME_HEIGHT * (1 - share)
            parts.append(f'<path d="M{_LEFT} {at:.1f}h{_PLOT}" stroke="#dddddd"/>')
            parts.append(_text(_LEFT - 6, at + 4, f"{top * share:.3g} s", anchor="end"))
            size = low + round((high - low) * share)
            parts.append(_text(_LEFT + _PLOT * share, y + _TIME_HEIGHT + 15, human_size(size), anchor="middle"))
        for number, (option, line) in enumerate(panel.lines.items()):
            colour = LINE_COLOURS[number % len(LINE_COLOURS)]
            at_x = [_LEFT + (_PLOT * (size - low) / (high - low) if high > low else 0) for size, _ in line]
            at_y = [y + _TIME_HEIGHT * (1 - seconds / top) for _, seconds in line]
            path = " ".join(f"{x:.1f},{line_y:.1f}" for x, line_y in zip(at_x, at_y, strict=True))
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [
                f'<circle cx="{x:.1f}" cy="{line_y:.1f}" r="2.5" fill="{colour}"><title>'
                f"{escape(option)}: {human_size(size)} at boot, modelled {seconds:.4f} s</title></circle>"
                for x, line_y, (size, seconds) in zip(at_x, at_y, line, strict=True)
            ]
            parts.append(_text(_LEFT + number * 120, y + _TIME_HEIGHT + 32, f"— {option}", colour=colour))
        y += _TIME_HEIGHT + 62
    return _document(y, parts)


def _spread(count: int) -> list[int]:
    """Up to :data:`_TICKS` positions from the first to the last."""
    ticks = min(count, _TICKS)
    return sorted({round(tick * (count - 1) / max(ticks - 1, 1)) for tick in range(ticks)})


def _legend() -> str:
    parts = []
    for number, outcome in enumerate((BOOTS, FAILS, NOT_STARTED, ERROR)):
        x = _LEFT + number * 130
        parts.append(f'<rect x="{x}" y="8" width="12" height="12" fill="{COLOURS[outcome]}"/>')
        parts.append(_text(x + 18, 18, outcome))
    return "".join(parts)


def _text(x: float, y: float, words: str, anchor: str = "start", bold: bool = False, colour: str = "#222222") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" {_FONT}{weight}>{escape(words)}</text>'
    )


def _document(height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" '
    body = "\n".join(parts)
    paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return f'{head}viewBox="0 0 {_WIDTH} {height:.0f}">{paper}\n{body}\n</svg>\n'
