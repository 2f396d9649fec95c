"""Aligned columns of plain text."""

from __future__ import annotations

from collections.abc import Sequence

RIGHT = ">"


def printable(text: str) -> str:
    """``text`` without anything that a terminal would take for a command; such characters show as ``\\x1b``."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def table_lines(rows: Sequence[Sequence[str]], alignment: str = "", indent: str = "", gap: str = "  ") -> list[str]:
    """Rows as lines whose columns line up.

    Args:
        rows: Cells; all rows of one length.
        alignment: One character per column, ``>`` for right; missing ones are left.
        indent: Put before each line.
        gap: Put between columns.
    """
    if not rows:
        return []
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if alignment[column : column + 1] == RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + gap.join(parts)).rstrip())
    return lines
