"""The address space before and after, as SVG: rectangles and words, nothing else; needs no extra."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tdvfsh.history.facts import JournalFacts
from tdvfsh.history.painted_map import ACCEPTED_ONLY, PaintedMap, type_label
from tdvfsh.lazy_typing import Final
from tdvfsh.report.modelled_text import ModelledSeconds, range_text
from tdvfsh.report.page.values import facts_line
from tdvfsh.trace.file import TraceFile
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import human_seconds, human_size

TYPE_COLOURS: Final = {
    0: "#7a6f8f", 1: "#1f6fb2", 2: "#5aa5dd", 3: "#b8641a", 4: "#e2a45c", 5: "#8e3f9d", 6: "#be7fca", 7: "#d3ebcf",
    8: "#3d3d3d", 9: "#1d8a86", 10: "#54b8a9", 11: "#55606a", 12: "#6d7780", 13: "#99703d", 14: "#4d7a3a",
    15: "#dfe3e6", ACCEPTED_ONLY: "#f3c6dc",
}  # fmt: skip
_OTHER: Final = "#c2427a"
_WIDTH: Final = 1000
_EDGE: Final = 20
_PLOT: Final = _WIDTH - 2 * _EDGE
_BAR: Final = 46
_TICKS: Final = 8
_QUIET: Final = frozenset({EfiMemoryType.EfiConventionalMemory, EfiMemoryType.EfiUnacceptedMemoryType})
_FONT: Final = 'font-family="sans-serif" font-size="11"'


def map_svg(file: TraceFile) -> str:
    """RAM to scale, all of it and the part in use, before the first record and after the last; with a legend."""
    facts = JournalFacts(file)
    top = max((end for _, end in file.ram), default=facts.limit)
    used = max((piece.end for piece in facts.last if piece.memory_type not in _QUIET and piece.end <= top), default=top)
    parts = [_text(_EDGE, 24, facts_line(file), bold=True), _text(_EDGE, 42, _account(facts))]
    y = 64.0
    strips = [("before", facts.first, top), ("after", facts.last, top)]
    if used * 4 < top:
        strips += [(f"before, below {used:#x}", facts.first, used), (f"after, below {used:#x}", facts.last, used)]
    for title, painted, end in strips:
        parts.append(_text(_EDGE, y, title, bold=True))
        parts += _strip(painted, end, y + 6)
        y += _BAR + 44
    legend, bottom = _legend([*facts.first, *facts.last], y)
    return _document(bottom + 34, [*parts, legend], f"Memory map: {facts_line(file)}; {_account(facts)}")


def _account(facts: JournalFacts) -> str:
    modelled = human_seconds(facts.accept_ns / 1e9)
    if facts.accept_range is not None:
        low, high = facts.accept_range
        modelled = range_text(ModelledSeconds(facts.accept_ns / 1e9, low, high))
    return (
        f"{human_size(facts.boot_bytes)} accepted at boot + {human_size(facts.on_demand_bytes)} on demand + "
        f"{human_size(facts.left_bytes)} left = {human_size(facts.ram_bytes)}; modelled {modelled}"
    )


def _strip(painted: PaintedMap, end: int, y: float) -> list[str]:
    parts = [f'<rect x="{_EDGE}" y="{y:.0f}" width="{_PLOT}" height="{_BAR}" fill="#f1f2f2"/>']
    pieces = [piece for piece in painted if piece.start < end]
    for piece in sorted(pieces, key=lambda piece: piece.start - piece.end):  # small ones over large ones
        left = _EDGE + piece.start * _PLOT / end
        width = max((min(piece.end, end) - piece.start) * _PLOT / end, 0.6)
        size = human_size(piece.end - piece.start)
        hint = f"{type_label(piece.memory_type)} {piece.start:#x}-{piece.end - 1:#x}, {size}"
        parts.append(
            f'<rect x="{left:.2f}" y="{y:.0f}" width="{width:.2f}" height="{_BAR}" '
            f'fill="{TYPE_COLOURS.get(piece.memory_type, _OTHER)}"><title>{escape(hint)}</title></rect>'
        )
    for tick in range(_TICKS + 1):
        at = end * tick // _TICKS
        anchor = "start" if tick == 0 else "end" if tick == _TICKS else "middle"
        parts.append(_text(_EDGE + _PLOT * tick / _TICKS, y + _BAR + 14, human_size(at), anchor=anchor))
    return parts


def _legend(pieces: Sequence[tuple[int, int, int]], y: float) -> tuple[str, float]:
    """The legend, and where its last row is."""
    parts, x = [], float(_EDGE)
    for memory_type in sorted({piece[2] for piece in pieces}):
        name = type_label(memory_type)
        if x + 17 + 7.5 * len(name) > _WIDTH - _EDGE:
            x, y = float(_EDGE), y + 20
        colour = TYPE_COLOURS.get(memory_type, _OTHER)
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="12" height="12" fill="{colour}" stroke="#999999"/>')
        parts.append(_text(x + 17, y + 10, name))
        x += 34 + 7.5 * len(name)
    return "".join(parts), y


def _text(x: float, y: float, words: str, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222" {_FONT}{weight}>{escape(words)}</text>'


def _document(height: float, parts: Sequence[str], label: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(label)}" '
    body = "\n".join(parts)
    paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
    size = f'width="{_WIDTH}" height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}"'
    style = 'style="max-width: 100%; height: auto"'
    return f"{head}{size} {style}><title>{escape(label)}</title>{paper}\n{body}\n</svg>\n"
