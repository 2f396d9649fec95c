"""Text streams that redirections replace.

Inside the shell a line ends with ``\\n``; firmware's CR LF appears only in files and variables, and a lone ``\\r`` goes
through as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.uefi.status import EfiStatus


class StreamError(Exception):
    """Failure to write a redirected stream: a full disk, a removed folder."""

    def __init__(self, status: EfiStatus) -> None:
        self.status = status
        super().__init__(status.name)


class TextSource:
    """Redirected input, read as a whole.

    Args:
        text: The text, with ``\\n`` ends of line.
        readable: Whether a command finds it. Quirk of edk2: ASCII files and variables give a command that looks for
            UTF-16 nothing.
    """

    def __init__(self, text: str, *, readable: bool = True) -> None:
        self.text = text
        self.readable = readable


class RedirectedSink:
    """Base of the streams that stand in the console's place."""


class MemorySink:
    """A stream that collects text."""

    def __init__(self, done: Callable[[str], None] | None = None) -> None:
        self._pieces: list[str] = []
        self._done = done

    def write(self, text: str) -> None:
        """Print text."""
        self._pieces.append(text)

    @property
    def text(self) -> str:
        """All that was printed."""
        return "".join(self._pieces)

    def close(self) -> None:
        """Hand the text on, once."""
        if self._done is not None:
            done, self._done = self._done, None
            done(self.text)


class CapturedSink(MemorySink, RedirectedSink):
    """A pipe or a variable as a stream."""


class NullSink(RedirectedSink):
    """The file NUL."""

    def write(self, text: str) -> None:
        """Print nowhere."""

    def close(self) -> None:
        """Nothing to do."""


class FileSink:
    """Text to a file: CR LF, and UTF-16LE or one byte a character.

    Args:
        write: Appends bytes to the file.
        unicode: UTF-16LE, where the byte order mark is the opener's business; else the low byte of each character, as
            firmware writes ASCII.
    """

    def __init__(self, write: Callable[[bytes], None], *, unicode: bool) -> None:
        self._write = write
        self._unicode = unicode

    def write(self, text: str) -> None:
        """Print text."""
        if text:
            text = text.replace("\n", "\r\n")
            self._write(text.encode("utf-16-le", "replace") if self._unicode else low_bytes(text))

    def close(self) -> None:
        """Nothing is held back."""


def low_bytes(text: str) -> bytes:
    """The low byte of each character."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return bytes(ord(character) & 0xFF for character in text)


def normalize(text: str) -> str:
    """CR LF of a file as ``\\n``."""
    return text.replace("\r\n", "\n")
