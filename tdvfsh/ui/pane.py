"""The middle part of the live view: what commands print, kept to be scrolled."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from io import StringIO

from tdvfsh.lazy_typing import Final

_KEPT: Final = 5_000
_CLEAR: Final = re.compile(r".*\x1b\[2J", re.DOTALL)


class PaneStream(StringIO):
    """A text stream whose end is a pane.

    Args:
        terminal: File descriptor of the terminal that shows it, for its size.
        changed: Called when there is more to see.
    """

    def __init__(self, terminal: int, changed: Callable[[], None]) -> None:
        super().__init__()
        self._terminal = terminal
        self._changed = changed
        self._lines: deque[str] = deque([""], maxlen=_KEPT)
        self.scrolled = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What the pane can show."""
        return "utf-8"

    def fileno(self) -> int:
        """The terminal's."""
        return self._terminal

    def isatty(self) -> bool:
        """It is as good as one."""
        return True

    def write(self, text: str) -> int:
        """Print; clearing the screen empties the pane."""
        length = len(text)
        if "\x1b[2J" in text:
            self._lines.clear()
            self._lines.append("")
            text = _CLEAR.sub("", text)
        first, *more = text.split("\n")
        self._lines[-1] += first
        self._lines.extend(more)
        self.scrolled = 0
        self._changed()
        return length

    def flush(self) -> None:
        """Show it."""
        self._changed()

    def scroll(self, lines: int, height: int) -> None:
        """Look further up (positive) or down; ``height`` is the pane's."""
        self.scrolled = max(0, min(self.scrolled + lines, len(self._lines) - height))

    def shown(self, height: int) -> str:
        """The lines in view, with their colours as escape sequences."""
        lines = list(self._lines)
        if lines and not lines[-1]:
            lines.pop()
        end = max(0, len(lines) - self.scrolled)
        return "\n".join(lines[max(0, end - height) : end])
