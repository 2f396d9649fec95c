"""A real terminal as the keyboard of programs."""

from __future__ import annotations

import time
from collections import deque

from tdvfsh.engine.console.keys import Key, keys_of
from tdvfsh.engine.console.raw_terminal import RawTerminal


class TerminalKeys:
    """Keys from a terminal.

    Args:
        terminal: The terminal, in character mode.
    """

    live = True

    def __init__(self, terminal: RawTerminal) -> None:
        self._terminal = terminal
        self._keys: deque[Key] = deque()

    @property
    def ended(self) -> bool:
        """Whether the terminal is gone."""
        return self._terminal.ended and not self._keys

    def ready(self) -> bool:
        """Whether a key waits."""
        self._fill(0)
        return bool(self._keys)

    def read(self) -> Key | None:
        """The next key, or None."""
        if not self._keys:
            self._fill(0)
        return self._keys.popleft() if self._keys else None

    def wait(self, seconds: float) -> None:
        """Wait for a key."""
        if not self._keys:
            self._fill(seconds)

    def sleep(self, seconds: float) -> None:
        """Let real time pass."""
        time.sleep(seconds)

    def _fill(self, seconds: float) -> None:
        self._keys.extend(keys_of(self._terminal.read(seconds).decode("utf-8", "replace")))
