"""How ``help`` lays a command's sections out: as the Shell's manual pages do, wrapped at the screen's width.

A section is lines as the docstring has them: an option is ``spelling: text`` with further lines indented, a note is a
paragraph, a caption of an example ends with a colon, a return value is ``NAME: text``.

Source: the pages that Debian's Shell 2025.02 prints.
"""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

from tdvfsh.lazy_pattern import pattern

WIDEST = 80
NARROWEST = 40
_OPTION = pattern(r"(\S.*?): +(.*)")
_GROUP = pattern(r"\[[^\[\]|]{1,30}\]")
_NO_BREAK = "\0"
_STATUS_COLUMN = 28
_PROMPT = "fs0:\\> "


def lay_out(title: str, lines: list[str], columns: int) -> str:
    """The text of a section.

    Args:
        title: One of :data:`~tdvfsh.shell.command.helptext.SECTIONS`.
        lines: Its lines.
        columns: Of the screen; 40 to 80 are used.
    """
    width = max(NARROWEST, min(WIDEST, columns)) - 2
    body = _LAYOUTS[title](lines, width)
    if title == "NAME":
        return "".join(f"{line}\n" for line in body)
    return " \n" + "".join(f"{line}\n" for line in body)


def filled(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """A text in lines of at most ``width`` columns; words longer than that stay whole."""
    return wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _name(lines: list[str], width: int) -> list[str]:
    return filled(" ".join(lines).partition(" - ")[2], width)


def _synopsis(lines: list[str], width: int) -> list[str]:
    found: list[str] = []
    for usage in _joined(lines):
        name, blank, rest = usage.partition(" ")
        words = _GROUP.sub(lambda group: group[0].replace(" ", _NO_BREAK), " ".join(rest.split()))
        for line in filled(f"{name.upper()}{blank}{words}", width, "", " " * (min(len(name), 12) + 1)):
            found.append(line.replace(_NO_BREAK, " "))
    return found


def _joined(lines: list[str]) -> list[str]:
    """Lines, each with the indented ones below it."""
    found: list[str] = []
    for line in lines:
        if line.startswith(" ") and found:
            found[-1] += " " + line.strip()
        elif line:
            found.append(line)
    return found


def _options(lines: list[str], width: int) -> list[str]:
    entries: list[tuple[str, str]] = []
    for line in _joined(lines):
        match = _OPTION.match(line)
        entries.append((match[1], match[2]) if match is not None else (line, ""))
    column = max((len(spelling) for spelling, _ in entries if len(spelling) <= width // 3), default=0)
    found: list[str] = []
    for spelling, text in entries:
        if not text:
            found += filled(spelling, width, "  ", "  ")
        elif len(spelling) <= column:
            found += filled(text, width, f"  {spelling:<{column}} - ", " " * (column + 5))
        else:
            found += filled(f"{spelling} -", width, "  ", "    ")
            found += filled(text, width, "      ", "      ")
    return found


def _notes(lines: list[str], width: int) -> list[str]:
    paragraphs = [" ".join(paragraph.split()) for paragraph in "\n".join(lines).split("\n\n") if paragraph.strip()]
    found = ["NOTES:"]
    for number, paragraph in enumerate(paragraphs, 1):
        found += filled(paragraph, width, f"  {number}. ", " " * (len(str(number)) + 4))
    return found


def _examples(lines: list[str], width: int) -> list[str]:
    found = ["EXAMPLES:"]
    for line in lines:
        if line.endswith(":") and line[:1].isupper():
            found += [" "] if len(found) > 1 else []
            found += filled(line, width, "  * ", "    ")
        elif line:
            found.append(f"    {line}" if line.startswith((" ", "endfor", ":")) else f"    {_PROMPT}{line}")
    return found


def _return_values(lines: list[str], width: int) -> list[str]:
    found = ["RETURN VALUES:"]
    for line in _joined(lines):
        match = _OPTION.match(line)
        status, text = (match[1], match[2]) if match is not None else ("", line)
        name = f"SHELL_{status}" if status.isupper() else status
        column = _STATUS_COLUMN if width >= 64 else 6
        if len(name) + 4 > column:
            found += [f"  {name}", *filled(text, width, " " * column, " " * column)]
        else:
            found += filled(text, width, f"  {name}".ljust(column), " " * column)
    return found


_LAYOUTS: dict[str, Callable[[list[str], int], list[str]]] = {
    "NAME": _name,
    "SYNOPSIS": _synopsis,
    "OPTIONS": _options,
    "DESCRIPTION": _notes,
    "EXAMPLES": _examples,
    "RETURNVALUES": _return_values,
}
