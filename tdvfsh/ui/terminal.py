"""What a terminal can show: cursor control, colours, block characters, and how big it is."""

from __future__ import annotations

import os

from tdvfsh.lazy_typing import TextIO
from tdvfsh.ui.fit import NARROWEST

_CONTROL_LESS = frozenset(("", "dumb", "unknown"))
_DEFAULT_SIZE = os.terminal_size((80, 24))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; a stream that is closed or missing is not one."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def is_dumb() -> bool:
    """Whether ``TERM`` names a terminal without cursor control."""
    return os.environ.get("TERM", "").lower() in _CONTROL_LESS


def shows_colours(stream: TextIO | None) -> bool:
    """Whether to colour: a terminal with cursor control, and no ``NO_COLOR``."""
    return is_terminal(stream) and not is_dumb() and not os.environ.get("NO_COLOR")


def shows_blocks(stream: TextIO | None) -> bool:
    """Whether block characters can be shown: both the stream's encoding and the locale are UTF-8."""
    names = (os.environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    locale = next((name for name in names if name), "")
    encoding = getattr(stream, "encoding", None) or ""
    return "utf" in locale.lower() and "utf" in encoding.lower()


def size_of(stream: TextIO | None) -> os.terminal_size:
    """Columns and lines of a stream's terminal; 80 by 24 where that is not known.

    ``COLUMNS`` in the environment counts for more than what the terminal says, from 40 on.
    """
    try:
        size = _DEFAULT_SIZE if stream is None else os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = _DEFAULT_SIZE
    if size.columns <= 0 or size.lines <= 0:
        size = _DEFAULT_SIZE
    wanted = asked_columns()
    return size if wanted is None else os.terminal_size((wanted, size.lines))


def columns_of(stream: TextIO | None) -> int | None:
    """Columns that what is printed has to fit: a terminal's, or ``COLUMNS``; None for a file or pipe without it."""
    return size_of(stream).columns if is_terminal(stream) else asked_columns()


def asked_columns() -> int | None:
    """What ``COLUMNS`` asks for, at least 40; None where it is not a number or not set."""
    text = os.environ.get("COLUMNS", "")
    return max(NARROWEST, int(text[:6])) if text.isascii() and text.isdigit() and int(text[:6]) else None
