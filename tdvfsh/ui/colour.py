"""Colours of what subcommands print: on a terminal, or where they are asked for."""

from __future__ import annotations

import os

from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final, TextIO

COLOUR_CHOICES: Final = ("auto", "always", "never")
_BOLD, _RED, _GREEN, _YELLOW = "1", "31", "32", "33"
_RULES: Final = (
    (pattern(r"(?m)^(?:result|why|cure|accepted|verdict|advice|stopped)(?=[ :])"), _BOLD),
    (pattern(r"\b(?:boots|EFI_SUCCESS)\b"), _GREEN),
    (pattern(r"\b(?:EFI_(?!SUCCESS\b)[A-Z_]{4,}|OUT_OF_RESOURCES|LOAD_ERROR|UNSUPPORTED|NOT_FOUND)\b"), _RED),
    (pattern(r"\b[0-9.]+ [KMGT]iB of RAM is still unaccepted\b"), _YELLOW),
)

_chosen = "auto"


def choose_colour(when: str) -> None:
    """What ``--color`` or the configuration says: one of :data:`COLOUR_CHOICES`."""
    global _chosen
    _chosen = when


def is_coloured(stream: TextIO) -> bool:
    """Whether text for a stream gets colours: by choice, else on a terminal where ``NO_COLOR`` is not set.

    Source: no-color.org.
    """
    if _chosen != "auto":
        return _chosen == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")


def coloured(text: str) -> str:
    """Text with what went well green, what failed red, and the labels of results bold."""
    for rule, code in _RULES:
        text = rule.sub(lambda found, code=code: f"\x1b[{code}m{found[0]}\x1b[0m", text)  # type: ignore[misc]
    return text
