"""A drawing as PNG; needs Pillow, from the ``report`` extra, which brings a font of its own."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import Any, Final

from tdvfsh.errors import HostError
from tdvfsh.sweep.drawing import FONT_SIZE, Dot, Drawing, Line, Rectangle, Words

_SCALE: Final = 2
"""Pixels of the picture for one of the drawing, so that words are sharp."""
_ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}
_HIGHEST: Final = 16000
"""Pixels: what common viewers still open."""


def to_png(drawing: Drawing) -> bytes:
    """The drawing as a PNG file.

    Raises:
        HostError: Pillow is not installed, or the drawing is too high for a picture.
    """
    try:
        image_module: Any = import_module("PIL.Image")
        draw_module: Any = import_module("PIL.ImageDraw")
        font = import_module("PIL.ImageFont").load_default(FONT_SIZE * _SCALE)
    except ImportError:
        raise HostError("PNG plots need the 'report' extra: pip install 'tdvfsh[report]'") from None
    height = round(drawing.height * _SCALE)
    if height > _HIGHEST:
        raise HostError(
            f"too many panels for one PNG ({height} pixels high): draw svg or html, or sweep less at a time"
        )
    picture = image_module.new("RGB", (drawing.width * _SCALE, height), "#ffffff")
    draw = draw_module.Draw(picture)
    for shape in drawing.shapes:
        match shape:
            case Rectangle(x, y, width, tall, colour, _):
                right, bottom = (x + width) * _SCALE, (y + tall) * _SCALE
                draw.rectangle((round(x * _SCALE), round(y * _SCALE), round(right) - 1, round(bottom) - 1), fill=colour)
            case Dot(x, y, radius, colour, _):
                draw.circle((x * _SCALE, y * _SCALE), radius * _SCALE, fill=colour)
            case Line(points, colour, thickness):
                draw.line([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour, width=round(thickness * _SCALE))
            case Words(x, y, text, anchor, _, colour):
                draw.text((x * _SCALE, y * _SCALE), text, fill=colour, font=font, anchor=_ANCHORS[anchor])
    buffer = BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
