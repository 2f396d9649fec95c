"""Where a run ends: ``--time-limit`` and ``--until``."""

from __future__ import annotations

import re

from tdvfsh.cli.arguments import Arguments
from tdvfsh.errors import UsageError


def time_limit(arguments: Arguments) -> float | None:
    """``--time-limit`` in real seconds."""
    text = arguments.optional("time_limit")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--time-limit {text}: not a number of seconds")
    return seconds


def until_pattern(arguments: Arguments) -> re.Pattern[str] | None:
    """``--until``, compiled.

    Raises:
        UsageError: It is not a regular expression.
    """
    until = arguments.optional("until")
    try:
        return None if until is None else re.compile(until)
    except re.error as error:
        raise UsageError(f"--until {until}: not a regular expression: {error}") from None
