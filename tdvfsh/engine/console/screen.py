"""The 80x25 cell screen of ConOut, and displays that it is shown on.

Source: UEFI 2.10 12.4; what OutputString does at the edges, as edk2 MdeModulePkg/Universal/Console.
"""

from __future__ import annotations

import re

from tdvfsh.lazy_typing import Final, Protocol

COLUMNS: Final = 80
ROWS: Final = 25
DEFAULT_ATTRIBUTE: Final = 0x07

_UNKNOWN_GLYPH: Final = "?"
_UNSHOWN: Final = re.compile(
    "[\x7f-\x9f"  # DEL and the C1 controls, which a terminal obeys
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # no width, or another direction of text
    "\ud800-\udfff]"
)
"""Characters that no display gets: a guest's text is for users to read. EFI's terminal driver prints ``?`` where it
has no glyph (MdeModulePkg/Universal/Console/TerminalDxe/TerminalConOut.c)."""

_COLORS: Final = (0, 4, 2, 6, 1, 5, 3, 7)  # EFI's blue, green, cyan … as ANSI numbers
_SCREENS: Final = ("\x1b[2J\x1b[H", f"\x1b[1;{ROWS}r")


class NoDisplay:
    """Display that shows nothing; base class of those that show a screen."""

    def text(self, text: str) -> None:
        """Printable characters at the cursor."""

    def control(self, character: str) -> None:
        """``\\r``, ``\\n`` or ``\\b``."""

    def wrapped(self) -> None:
        """The cursor went on to the next row because the last column was filled."""

    def moved(self, column: int, row: int, before: tuple[int, int]) -> None:
        """SetCursorPosition, from ``before``."""

    def cleared(self) -> None:
        """ClearScreen."""

    def attribute(self, attribute: int) -> None:
        """SetAttribute."""

    def cursor(self, visible: bool) -> None:
        """EnableCursor."""

    def close(self) -> None:
        """The run is over."""


class Screen:
    """Cells, cursor and attribute.

    Args:
        display: Where it shows.

    Attributes:
        column: Of the cursor, from 0.
        row: Of the cursor, from 0.
        attribute: Current EFI attribute.
        cursor_visible: Whether the cursor shows.
    """

    def __init__(self, display: NoDisplay) -> None:
        self._display: NoDisplay = display
        self._cells = [[" "] * COLUMNS for _ in range(ROWS)]
        self.column = 0
        self.row = 0
        self.attribute = DEFAULT_ATTRIBUTE
        self.cursor_visible = True

    def lines(self) -> list[str]:
        """What the screen shows, without trailing blanks."""
        return ["".join(row).rstrip() for row in self._cells]

    def write(self, text: str) -> None:
        """OutputString; what would move a terminal's cursor or turn its text shows as an unknown glyph."""
        run = ""
        for character in text:
            if character in "\r\n\b":
                self._flush(run)
                run = ""
                self._control(character)
                continue
            if character == "\0" or character < " ":
                continue
            if not character.isascii() or character == "\x7f":
                character = _UNSHOWN.sub(_UNKNOWN_GLYPH, character)
            self._cells[self.row][self.column] = character
            run += character
            self.column += 1
            if self.column == COLUMNS:
                self._flush(run)
                run = ""
                self.column = 0
                self._next_row()
                self._display.wrapped()
        self._flush(run)

    def move(self, column: int, row: int) -> bool:
        """SetCursorPosition; False for a place that is not on the screen."""
        if not (0 <= column < COLUMNS and 0 <= row < ROWS):
            return False
        before = (self.column, self.row)
        self.column, self.row = column, row
        if before != (column, row):
            self._display.moved(column, row, before)
        return True

    def clear(self) -> None:
        """ClearScreen."""
        self._cells = [[" "] * COLUMNS for _ in range(ROWS)]
        self.column = self.row = 0
        self._display.cleared()

    def set_attribute(self, attribute: int) -> None:
        """SetAttribute."""
        if attribute != self.attribute:
            self.attribute = attribute
            self._display.attribute(attribute)

    def show_cursor(self, visible: bool) -> None:
        """EnableCursor."""
        self.cursor_visible = visible
        self._display.cursor(visible)

    def close(self) -> None:
        """The run is over; called again it does nothing."""
        self._display.close()
        self._display = NoDisplay()

    def _flush(self, run: str) -> None:
        if run:
            self._display.text(run)

    def _control(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._next_row()
        elif self.column:
            self.column -= 1
        elif self.row:
            self.row -= 1
            self.column = COLUMNS - 1
        self._display.control(character)

    def _next_row(self) -> None:
        if self.row < ROWS - 1:
            self.row += 1
        else:
            self._cells.pop(0)
            self._cells.append([" "] * COLUMNS)


class Writer(Protocol):
    """Destination of text."""

    def write(self, text: str) -> object:
        """Take it."""


class TranscriptDisplay(NoDisplay):
    """Running text for a pipe or a file: no escape codes; lines end in ``\\n``; a jump to another row is a new line."""

    def __init__(self, output: Writer) -> None:
        self._output = output
        self._at_line_start = True

    def text(self, text: str) -> None:
        """The characters."""
        self._output.write(text)
        self._at_line_start = False

    def control(self, character: str) -> None:
        """A line feed ends the line, a backspace is written; a carriage return is part of the line's end."""
        if character == "\n":
            self._output.write("\n")
            self._at_line_start = True
        elif character == "\b":
            self._output.write("\b")

    def moved(self, column: int, row: int, before: tuple[int, int]) -> None:
        """Blanks to the right, or a new line."""
        if row == before[1] and column >= before[0]:
            self._output.write(" " * (column - before[0]))
            return
        if row == before[1]:
            self._output.write("\b" * (before[0] - column))
            return
        if not self._at_line_start:
            self._output.write("\n")
        self._output.write(" " * column)
        self._at_line_start = not column

    def cleared(self) -> None:
        """What follows starts on a line of its own."""
        if not self._at_line_start:
            self._output.write("\n")
            self._at_line_start = True

    def close(self) -> None:
        """End the last line."""
        if not self._at_line_start:
            self._output.write("\n")


class AnsiDisplay(NoDisplay):
    """A real terminal: its upper left 80x25 cells are the screen."""

    def __init__(self, output: Writer) -> None:
        self._output = output
        output.write("".join(_SCREENS) + "\x1b[H")

    def text(self, text: str) -> None:
        """The characters."""
        self._output.write(text)

    def control(self, character: str) -> None:
        """As it is."""
        self._output.write(character)

    def wrapped(self) -> None:
        """The terminal may be wider than the screen."""
        self._output.write("\r\n")

    def moved(self, column: int, row: int, before: tuple[int, int]) -> None:
        """By escape sequence."""
        self._output.write(f"\x1b[{row + 1};{column + 1}H")

    def cleared(self) -> None:
        """The whole screen."""
        self._output.write("\x1b[2J\x1b[H")

    def attribute(self, attribute: int) -> None:
        """Bright foreground colours as bold ones."""
        foreground, background = _COLORS[attribute & 7], _COLORS[attribute >> 4 & 7]
        bold = "1;" if attribute & 8 else ""
        plain = attribute == DEFAULT_ATTRIBUTE
        self._output.write("\x1b[0m" if plain else f"\x1b[0;{bold}{30 + foreground};{40 + background}m")

    def cursor(self, visible: bool) -> None:
        """Show or hide it."""
        self._output.write("\x1b[?25h" if visible else "\x1b[?25l")

    def close(self) -> None:
        """Restore the terminal."""
        self._output.write(f"\x1b[r\x1b[0m\x1b[?25h\x1b[{ROWS};1H\n")
