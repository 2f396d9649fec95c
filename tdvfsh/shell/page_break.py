"""Page break: ``-b`` shows a screenful at a time.

Source: edk2 ShellPkg/Application/Shell/ConsoleLogger.c (page break mode).
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdvfsh.script.host import TextSink

PROMPT = "Press ENTER to continue or 'Q' break:"


class PageBreak(Exception):
    """The user wants no more of this output."""


class PagingSink:
    """Sink that prints until the screen is full, then asks.

    Args:
        sink: Where the text goes.
        rows: Lines of the screen; one is left for the question.
        ask: Puts the question; an answer that begins with ``q`` ends the command.
    """

    def __init__(self, sink: TextSink, rows: int, ask: Callable[[str], str]) -> None:
        self._sink = sink
        self._rows = max(1, rows - 1)
        self._ask = ask
        self._shown = 0

    def write(self, text: str) -> None:
        """Print text, with a question after each screenful; raises PageBreak."""
        for line in text.splitlines(keepends=True):
            if self._shown >= self._rows:
                self._shown = 0
                if self._ask(PROMPT)[:1].lower() == "q":
                    raise PageBreak
            self._sink.write(line)
            self._shown += line.endswith("\n")

    def close(self) -> None:
        """The sink below stays open."""
