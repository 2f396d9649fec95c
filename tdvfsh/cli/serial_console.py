"""A guest's serial console on the standard streams: what it sends, and what is typed at it."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tdvfsh.cli.output import TextSink, print_notes
from tdvfsh.cli.standard_input import standard_input_text
from tdvfsh.engine.console.serial_input import SerialInput, TypedAtTerminal, TypedLines
from tdvfsh.lazy_typing import Final, TextIO
from tdvfsh.report.table import printable

_ESCAPE: Final = "\x1b"
_LONGEST_SEQUENCE: Final = 32
_NEVER_RAW: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class SerialOutput:
    """A guest's serial console as text, as it comes.

    Args:
        stream: Where it goes.
        raw: A user types at it: the terminal is to obey the control sequences that it is sent, but for DEL, C1 controls
            and what turns the direction of text. Otherwise they are shown instead.
        plain: Leave cursor positions and colours out where they are not obeyed, as firmware's screens are full of them.
    """

    def __init__(self, stream: TextSink, raw: bool = False, plain: bool = False) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_line_start = True
        self._raw = raw
        self._plain = plain
        self._sequence = ""

    def write(self, data: bytes) -> None:
        """Some bytes; carriage returns are left out, but for a terminal that obeys."""
        text = self._decoder.decode(data)
        if self._raw:
            self._stream.write(_NEVER_RAW.sub("?", text))
            self._stream.flush()
            self._at_line_start = text.endswith("\n") if text else self._at_line_start
            return
        if self._plain:
            text = "".join(map(self._without_sequence, text))
        shown = "".join(each if each in "\n\t" else printable(each) for each in text if each != "\r")
        self._stream.write(shown)
        if shown:
            self._at_line_start = shown.endswith("\n")
        if "\n" in shown:
            self._stream.flush()

    def _without_sequence(self, character: str) -> str:
        """A control sequence (ESC [ … letter) is taken out; another one that begins with ESC is shown."""
        if not self._sequence:
            if character != _ESCAPE:
                return character
            self._sequence = character
            return ""
        self._sequence += character
        if len(self._sequence) == 2 and character == "[":
            return ""
        if len(self._sequence) > 2 and "@" <= character <= "~":
            self._sequence = ""
            return ""
        if len(self._sequence) > 2 and " " <= character <= "?" and len(self._sequence) < _LONGEST_SEQUENCE:
            return ""
        shown, self._sequence = self._sequence, ""
        return shown

    def close(self) -> None:
        """End the last line."""
        if not self._at_line_start:
            self._stream.write("\n")
            self._at_line_start = True
        self._stream.flush()


@contextmanager
def serial_input(
    stream: TextIO,
    lines: Callable[[str], TypedLines] = TypedLines,
    hint: str = "",
    text: Callable[[], str] = standard_input_text,
) -> Iterator[SerialInput]:
    """The terminal where there is one at both ends, else the lines of standard input.

    Args:
        stream: Where the console's output goes.
        lines: Makes the source of lines that are known in advance.
        hint: Shown to a user at a terminal, before the guest runs.
        text: Reads standard input.
    """
    if sys.stdin is not None and sys.stdin.isatty() and stream.isatty():
        from tdvfsh.engine.console.raw_terminal import RawTerminal

        if hint:
            print_notes([hint])
        with RawTerminal(sys.stdin.fileno()) as terminal:
            yield TypedAtTerminal(terminal)
    else:
        yield lines(text())
