"""How our own output spells addresses: ``0x`` and lower case, as the command line and the JSON do."""

from __future__ import annotations


def span(start: int, end: int) -> str:
    """First and last byte of ``[start, end)``."""
    return f"{start:#x}-{end - 1:#x}"
