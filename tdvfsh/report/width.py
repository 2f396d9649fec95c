"""How wide the views may be: 100 columns in a file or pipe, at most the screen's width on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tdvfsh.lazy_typing import Final

WIDEST: Final = 100
_width = WIDEST


def text_width() -> int:
    """Columns that prose is wrapped at."""
    return _width


@contextmanager
def for_screen(columns: int | None) -> Iterator[None]:
    """Make views inside for a screen of that many columns; None: not a screen."""
    global _width
    before, _width = _width, WIDEST if columns is None else min(WIDEST, columns)
    try:
        yield
    finally:
        _width = before
