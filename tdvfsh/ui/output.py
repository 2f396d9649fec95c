"""Where the shell's text ends up: a terminal, which it must not upset, or a file or pipe, which gets it as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, TextIO
from tdvfsh.ui.fit import fit
from tdvfsh.ui.terminal import is_terminal, shows_blocks, size_of

if TYPE_CHECKING:
    from tdvfsh.script.host import TextSink

_UNSAFE: Final = pattern(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but newline and tab
    "\u200e\u200f\u2028-\u202e\u2066-\u2069"  # what turns the direction of text
    "\ud800-\udfff]"  # bytes of a host file name that are not UTF-8
)
_OVERWRITTEN: Final = pattern("[^\n\b]\b(?=[^\n\b])")
_ROW: Final = pattern(r"(?m)^(\w+) +[0-9A-F]{16}-[0-9A-F]{16} .*")
_ROW_COLOURS: Final = {
    "Available": "32", "Unaccepted": "31", "LoaderCode": "36", "LoaderData": "36", "RT_Code": "35", "RT_Data": "35",
    "Reserved": "33", "ACPI_Recl": "33", "ACPI_NVS": "33", "MMIO": "90", "MMIO_Port": "90",
}  # fmt: skip
_ANSI_OF_EFI: Final = (0, 4, 2, 6, 1, 5, 3, 7)  # EFI counts blue as 1 and red as 4


def escape_controls(text: str) -> str:
    r"""Text with control characters, text-direction marks and lone surrogates spelled as ``\x1b`` or ``\u202e``."""
    return _UNSAFE.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def encodable(text: str, encoding: str | None) -> str:
    """Text in which characters that an encoding lacks are spelled with a backslash."""
    name = encoding or "utf-8"
    return text.encode(name, "backslashreplace").decode(name)


def colour_rows(text: str) -> str:
    """Colour the whole rows of ``memmap`` in a text that begins at the start of a line."""
    if "-" not in text:
        return text
    return _ROW.sub(lambda match: _coloured(match[0], _ROW_COLOURS.get(match[1])), text)


def _coloured(text: str, colour: str | None) -> str:
    return text if colour is None else f"\x1b[{colour}m{text}\x1b[0m"


def sink_for(stream: TextIO) -> TextSink:
    """The sink that suits a stream: safe for a terminal, unchanged text for everything else."""
    return TerminalSink(stream) if is_terminal(stream) else PlainSink(stream)


class PlainSink:
    """Sink for a file or pipe that writes text as it is; what the stream's encoding lacks is spelled with a backslash.

    Args:
        stream: An open text stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Print text."""
        self._stream.write(encodable(text, self._stream.encoding))

    def close(self) -> None:
        """Hand everything on."""
        self._stream.flush()


class TerminalSink:
    """Sink for a terminal: no text in it can move the cursor.

    Args:
        stream: The terminal.
        colours: Whether rows of ``memmap`` and the colours of ``cls`` show.

    Attributes:
        column: Characters on the current line.
        before_write: Called first by every write; raises KeyboardInterrupt where the user wants to stop.
        seen: Called with what is printed.
    """

    def __init__(self, stream: TextIO, *, colours: bool = False) -> None:
        self._stream = stream
        self._colours = colours
        self._attributes = ""
        self.column = 0
        self.before_write: Callable[[], None] = lambda: None
        self.seen: Callable[[str], None] = lambda text: None

    @property
    def columns(self) -> int:
        """Width of the terminal."""
        return size_of(self._stream).columns

    @property
    def blocks(self) -> bool:
        """Whether block characters can be shown."""
        return shows_blocks(self._stream)

    def write(self, text: str) -> None:
        """Print text."""
        self.before_write()
        if "\b" in text:
            text = _OVERWRITTEN.sub("", text)
        safe = escape_controls(text)
        self.seen(safe)
        safe = self._fitted(safe)
        shown = encodable(safe, self._stream.encoding)
        if self._attributes:
            shown = f"{self._attributes}{shown}\x1b[0m"
        elif self._colours and self.column == 0:
            shown = colour_rows(shown)
        last = safe.rfind("\n") + 1
        self.column = len(safe) - last + (0 if last else self.column)
        self._stream.write(shown)

    def _fitted(self, text: str) -> str:
        """The text with its whole lines broken where they are wider than the terminal; a line begun before stays."""
        begun, newline, rest = ("", "", text) if self.column == 0 else text.partition("\n")
        return begun + newline + fit(rest, self.columns)

    @contextmanager
    def diverted(self, stream: TextIO) -> Iterator[None]:
        """Print into another stream for a while."""
        before, self._stream = self._stream, stream
        try:
            yield
        finally:
            self._stream = before

    def clear(self, background: int | None, foreground: int | None) -> None:
        """Clear the screen and, where there are colours, set them, numbered as EFI_TEXT_ATTR numbers them."""
        if self._colours and background is not None:
            self._attributes = f"\x1b[{40 + _ANSI_OF_EFI[background]}m"
            if foreground is not None:
                self._attributes += f"\x1b[{(90 if foreground > 7 else 30) + _ANSI_OF_EFI[foreground & 7]}m"
        self._stream.write(f"{self._attributes}\x1b[H\x1b[2J" + ("\x1b[0m" if self._attributes else ""))
        self.column = 0
        self.flush()

    def flush(self) -> None:
        """Show everything now."""
        self._stream.flush()

    def close(self) -> None:
        """Show everything now; the terminal stays open."""
        self.flush()
