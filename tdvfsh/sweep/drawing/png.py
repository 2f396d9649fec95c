"""A drawing as PNG; needs Pillow, from the ``report`` extra, which brings a font of its own."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO

from tdvfsh.errors import HostError, MissingError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.sweep.drawing.shapes import FONT_SIZE, Dot, Drawing, Line, Rectangle, Words

_SCALES: Final = (2, 1)
"""Pixels of the picture for one of the drawing: with 2, words are sharp."""
_ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}
_MOST_PIXELS: Final = 80_000_000
"""What common viewers still open; 240 MB of memory while it is drawn."""


def to_png(drawing: Drawing) -> bytes:
    """The drawing as a PNG file.

    Raises:
        HostError: Pillow is not installed, or the drawing is too large for a picture.
    """
    try:
        image_module: Any = import_module("PIL.Image")
        draw_module: Any = import_module("PIL.ImageDraw")
        font_module: Any = import_module("PIL.ImageFont")
    except ImportError:
        raise MissingError("PNG plots need the 'report' extra: pip install 'tdvfsh[report]'") from None
    scale = next((one for one in _SCALES if drawing.width * drawing.height * one**2 <= _MOST_PIXELS), None)
    if scale is None:
        raise HostError("too many panels for one PNG: draw svg or html, or sweep less at a time")
    font = font_module.load_default(FONT_SIZE * scale)
    picture = image_module.new("RGB", (round(drawing.width * scale), round(drawing.height * scale)), "#ffffff")
    draw = draw_module.Draw(picture)
    for shape in drawing.shapes:
        match shape:
            case Rectangle(x, y, width, tall, colour, _):
                right, bottom = (x + width) * scale, (y + tall) * scale
                draw.rectangle((round(x * scale), round(y * scale), round(right) - 1, round(bottom) - 1), fill=colour)
            case Dot(x, y, radius, colour, _):
                draw.circle((x * scale, y * scale), radius * scale, fill=colour)
            case Line(points, colour, thickness):
                draw.line([(x * scale, y * scale) for x, y in points], fill=colour, width=round(thickness * scale))
            case Words(x, y, text, anchor, bold, colour):
                place, twice = (x * scale, y * scale), (x * scale + 1, y * scale)  # the font has one weight only
                for at in (place, twice) if bold else (place,):
                    draw.text(at, text, fill=colour, font=font, anchor=_ANCHORS[anchor])
    buffer = BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
