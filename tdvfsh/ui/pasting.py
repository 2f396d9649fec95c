"""Lines that wait to be run: a paste of several goes in line by line, as if typed."""

from __future__ import annotations

from collections import deque


class PastedLines:
    """Rest of a paste.

    Attributes:
        tail: What follows the last end of line; it is inserted at the prompt.
    """

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self.tail = ""

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, text: str, before: str = "", after: str = "") -> str:
        """Take a paste with at least one end of line.

        Args:
            text: What was pasted, with ``\\n`` ends.
            before: What stood in front of the cursor.
            after: What followed it.

        Returns:
            The first line, which is complete.
        """
        first, *lines = text.split("\n")
        self.tail = lines.pop() + after
        self._lines.extend(lines)
        return before + first

    def next(self) -> str | None:
        """The next complete line."""
        return self._lines.popleft() if self._lines else None

    def take_tail(self) -> str:
        """The unfinished last line, once."""
        tail, self.tail = self.tail, ""
        return tail

    def drop(self) -> int:
        """Forget everything; how many complete lines that was."""
        count = len(self._lines)
        self._lines.clear()
        self.tail = ""
        return count
