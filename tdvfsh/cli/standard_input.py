"""Standard input as text, for programs that have no terminal."""

from __future__ import annotations

import sys

from tdvfsh.lazy_typing import Final

_MAXIMUM_INPUT: Final = 16 << 20


def standard_input_text() -> str:
    """All that comes from standard input; nothing from a terminal, which would wait for a user."""
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    return sys.stdin.buffer.read(_MAXIMUM_INPUT).decode("utf-8", "replace")
