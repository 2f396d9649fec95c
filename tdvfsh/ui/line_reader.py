"""Where typed lines come from; and the plainest source of them, for terminals without cursor control."""

from __future__ import annotations

from tdvfsh.lazy_typing import Protocol, TextIO
from tdvfsh.ui.history_file import HistoryFile
from tdvfsh.ui.interrupts import Interrupts


class LineReader(Protocol):
    """Interface that reads lines and keys from the user."""

    def read_line(self, prompt: str, default: str = "") -> str:
        """One line without its end.

        Args:
            prompt: What stands in front of it.
            default: What stands in it already.

        Raises:
            EOFError: The user leaves.
            KeyboardInterrupt: The user discarded the line.
        """

    def read_key(self) -> str:
        """One key: a character, ``\\r`` for Enter, a name such as ``up`` for others, empty at the end of input."""


class PlainReader:
    """Reader of lines that the terminal itself edits.

    Args:
        stdin: The terminal, for reading.
        stdout: The same, for writing.
        history: Where lines are kept.
        interrupts: Let Ctrl-C through while waiting.
    """

    def __init__(self, stdin: TextIO, stdout: TextIO, history: HistoryFile, interrupts: Interrupts) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._history = history
        self._interrupts = interrupts

    def read_line(self, prompt: str, default: str = "") -> str:
        """See :class:`LineReader`; what stands in the line already cannot be changed."""
        self._stdout.write(prompt + default)
        line = default + self._read()
        self._history.append(line)
        return line

    def read_key(self) -> str:
        """See :class:`LineReader`; the key counts when Enter follows it."""
        try:
            return self._read()[:1] or "\r"
        except EOFError:
            return ""

    def _read(self) -> str:
        self._stdout.flush()
        try:
            with self._interrupts.waiting():
                line = self._stdin.readline()
        except KeyboardInterrupt:
            self._stdout.write("\n")
            raise
        if not line:
            self._stdout.write("\n")
            raise EOFError
        return line.removesuffix("\n")
