"""A drawing as SVG, which any browser or word processor shows."""

from __future__ import annotations

from html import escape

from tdvfsh.lazy_typing import Final
from tdvfsh.sweep.drawing.shapes import FONT_SIZE, Dot, Drawing, Line, Rectangle, Shape, Words

_FONT: Final = f'font-family="sans-serif" font-size="{FONT_SIZE}"'


def to_svg(drawing: Drawing) -> str:
    """The drawing as an SVG document."""
    width, height = round(drawing.width), round(drawing.height)
    title = escape(drawing.title)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" style="max-width: 100%; height: auto"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" {size}>\n<title>{title}</title>'
    paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, paper, *map(_element, drawing.shapes), "</svg>\n"])


def _element(shape: Shape) -> str:
    match shape:
        case Rectangle(x, y, width, height, colour, hint):
            place = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
            return f'<rect {place} fill="{colour}">{_hint(hint)}</rect>'
        case Dot(x, y, radius, colour, hint):
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">{_hint(hint)}</circle>'
        case Line(points, colour, thickness):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{thickness}"/>'
        case Words(x, y, text, anchor, bold, colour):
            weight = ' font-weight="bold"' if bold else ""
            place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
            return f'<text {place} fill="{colour}" {_FONT}{weight}>{escape(text)}</text>'


def _hint(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
