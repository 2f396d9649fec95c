"""Text that comes out of files: made harmless before it is printed."""

from __future__ import annotations


def printable(raw: bytes, keep: str = "") -> str:
    """Bytes as text in which nothing can act on a terminal: what is not printable is escaped, ``keep`` aside."""
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else ascii(character)[1:-1] for character in text
    )
