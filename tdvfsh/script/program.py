"""A script in memory: its lines, where it stands, its arguments and its running loops.

Source: edk2 ShellPkg/Application/Shell/Shell.c (RunScriptFileHandle), SCRIPT_FILE in
ShellPkg/Include/Library/ShellCommandLib.h.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.text import find_first

if TYPE_CHECKING:
    from tdvfsh.script.loops import Loop

BOM = b"\xff\xfe"
_REACHABLE = 9  # edk2 keeps no text of arguments beyond %9, so "shift" brings up nothing there


class ScriptLine:
    """One effective line: its text, its number in the file, and the loop that runs on it.

    ``entered`` is set when the line is reached from the line before it, which starts a ``for`` anew.
    """

    __slots__ = ("entered", "keyword", "loop", "number", "text")

    def __init__(self, text: str, number: int) -> None:
        self.text = text
        self.number = number
        self.loop: Loop | None = None
        self.entered = False
        self.keyword = first_word(text)


class Program:
    """A running script.

    Args:
        path: The script's full path, which is also ``%0``.
        text: Its text.
        arguments: The words after its name, quotes included; ``%1`` and up.
    """

    __slots__ = ("arguments", "lines", "loop_values", "path", "position")

    def __init__(self, path: str, text: str, arguments: list[str]) -> None:
        self.path = path
        self.lines = script_lines(text)
        self.arguments: list[str | None] = [path, *arguments[:_REACHABLE], *(None for _ in arguments[_REACHABLE:])]
        self.position = 0
        self.loop_values: dict[str, str] = {}

    @property
    def current(self) -> ScriptLine | None:
        """The line that is being run, None past the end."""
        return self.lines[self.position] if self.position < len(self.lines) else None

    @property
    def line_number(self) -> int:
        """Number of the current line in its file, 0 past the end."""
        line = self.current
        return line.number if line is not None else 0

    def advance(self) -> None:
        """Step to the next line."""
        self.position += 1
        line = self.current
        if line is not None:
            line.entered = True


def script_lines(text: str) -> list[ScriptLine]:
    """The lines that count: empty ones and those that begin with ``#`` keep only their number."""
    return [
        ScriptLine(line, number)
        for number, raw in enumerate(text.split("\n"), 1)
        if (line := raw.rstrip("\r")) and not line.startswith("#")
    ]


def first_word(text: str) -> str:
    """The first word of a line in lower case, as block matching sees it: cut at a blank, nothing expanded."""
    return text.lstrip(" \t").partition(" ")[0].lower()


def decode_text(data: bytes) -> str:
    """Text of a file: UTF-16LE after a byte order mark, else one character a byte."""
    if data.startswith(BOM):
        return data[2:].decode("utf-16-le", "replace")
    return data.decode("latin-1")


def clean_line(text: str) -> str:
    """A line without its comment and with ``^:`` resolved, before arguments are put in."""
    if "^" not in text and "#" not in text:
        return text
    pieces: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        following = text[at + 1 : at + 2]
        if character == "^" and following == ":":
            at += 1
            character = ":"
        elif character == "^" and following == "#":
            at += 1
            character = "^#"
        elif character == "#":
            break
        pieces.append(character)
        at += 1
    return "".join(pieces)


def label_of(text: str) -> str | None:
    """The label that a line defines (``:name``), None for other lines."""
    stripped = text.lstrip(" \t")
    if not stripped.startswith(":"):
        return None
    return stripped[1 : find_first(stripped, " ")]
