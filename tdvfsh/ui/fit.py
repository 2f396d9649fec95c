"""Lines that are wider than a terminal: broken between words and stacked below their first column.

A terminal itself breaks a row in the middle of a word, and then no column can be read.
"""

from __future__ import annotations

from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final

NARROWEST: Final = 40
_WORD: Final = pattern(r"( *)(\S+)")
_CELL: Final = pattern(r"( *)(\S+(?: \S+)*)")
_GAP: Final = pattern(r"\S {2,}(?=\S)")
_MARK: Final = pattern(r"[/,;:)\\-]")
_CELLS_OF_A_TABLE: Final = 4
_FIRST_COLUMN: Final = pattern(r" *\S+(?: \S+)* {2,}|\s*[*\-+] |\s*\d+\. ")


def width_of(text: str) -> int:
    """Columns that a text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def fit(text: str, columns: int) -> str:
    """A text whose lines fit, those that do not broken between words."""
    if len(text) <= columns and text.isascii():
        return text
    return "\n".join("\n".join(fit_line(line, columns)) for line in text.split("\n"))


def fit_line(line: str, columns: int) -> list[str]:
    """One line as lines of at most ``columns`` columns; a word that is wider is broken after a mark such as a comma.

    Args:
        line: Without its end.
        columns: Of the terminal; less than 40 count as 40.
    """
    columns = max(NARROWEST, columns)
    if width_of(line) <= columns:
        return [line]
    indent = _hanging(line, columns)
    words = _broken(_pieces(line.rstrip(), columns), columns - min(indent, 4))
    widest = max((width_of(word) for _, word in words), default=0)
    indent = max(0, min(indent, columns - widest))
    found: list[str] = []
    row, width = "", 0
    for gap, word in words:
        size = width_of(word)
        gap = gap if row else min(gap, columns - size)
        if row and width + gap + size > columns:
            found.append(row)
            row, width = " " * indent + word, indent + size
        else:
            row, width = row + " " * gap + word, width + gap + size
    return [*found, row]


def _pieces(line: str, columns: int) -> list[tuple[int, str]]:
    """What stays together, and the blanks in front of it: the cells of a table's row, the words of other lines."""
    if len(_GAP.findall(line)) + 1 >= _CELLS_OF_A_TABLE:
        cells = [(len(match[1]), match[2]) for match in _CELL.finditer(line)]
        if max(width_of(cell) for _, cell in cells) <= columns // 2:
            return cells
    return [(len(match[1]), match[2]) for match in _WORD.finditer(line)]


def _broken(pieces: list[tuple[int, str]], room: int) -> list[tuple[int, str]]:
    """The pieces with those that are wider than ``room`` cut, if possible after a mark."""
    found: list[tuple[int, str]] = []
    for gap, word in pieces:
        while width_of(word) > room:
            cut = max((match.end() for match in _MARK.finditer(word, 0, room)), default=room)
            found.append((gap, word[:cut]))
            gap, word = 0, word[cut:]
        if word:
            found.append((gap, word))
    return found


def _hanging(line: str, columns: int) -> int:
    """Where further rows of a line begin: below its second column if that is near, else a little to the right."""
    first = _FIRST_COLUMN.match(line)
    if first is not None and first.end() <= columns // 2:
        return first.end()
    return len(line) - len(line.lstrip(" ")) + 2
