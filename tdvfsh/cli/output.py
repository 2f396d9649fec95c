"""Printing results."""

from __future__ import annotations

import json
from collections.abc import Iterable


def print_lines(lines: Iterable[str]) -> None:
    """Lines to standard output."""
    print("\n".join(lines))


def print_json(value: object) -> None:
    """One JSON value to standard output."""
    print(json.dumps(value, indent=2))
