"""What is typed at an operating system's serial console: by a person, or known in advance.

It arrives while the system waits. A person's waiting takes real time, which passes for the system as well. Lines that
are known are typed one by one, each when the system has waited and said nothing for a moment; where they have come to
their end and it goes on waiting, so has the run.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Final, Protocol

from tdvfsh.engine.console.raw_terminal import RawTerminal
from tdvfsh.engine.errors import EngineError

_SECOND_NS: Final = 1_000_000_000
_QUIET_NS: Final = _SECOND_NS // 10
_LAST_WAIT_NS: Final = 60 * _SECOND_NS
_SLICE_NS: Final = _SECOND_NS // 10


class InputEnded(EngineError):
    """All was typed, and the system goes on waiting."""


class SerialInput(Protocol):
    """Where input comes from; times are virtual nanoseconds."""

    def heard(self, now: int) -> None:
        """The system sends something."""

    def waits(self, now: int, until: int | None) -> int | None:
        """The system waits until then, None for ever; gives when to look again, no later.

        Raises:
            InputEnded: There is nothing to wait for.
        """
        ...

    def take(self) -> bytes:
        """What has been typed since the last time; never waits."""
        ...


class TypedLines:
    """Lines known in advance.

    Args:
        text: Them; each line feed is the Enter key.
    """

    def __init__(self, text: str) -> None:
        *lines, rest = text.replace("\r\n", "\n").replace("\n", "\r").split("\r")
        typed = [f"{line}\r" for line in lines] + [rest] * bool(rest)
        self._lines = deque(line.encode("utf-8", "surrogateescape") for line in typed)
        self._typed = b""
        self._quiet_since = 0

    def heard(self, now: int) -> None:
        """The system sends something: it is not typed at meanwhile."""
        self._quiet_since = now

    def waits(self, now: int, until: int | None) -> int | None:
        """Type the next line if it is time."""
        patience = _QUIET_NS if self._lines else _LAST_WAIT_NS
        due = self._quiet_since + patience
        if now < due:
            return due if until is None else min(until, due)
        if not self._lines:
            raise InputEnded("the input has ended, and the system waits for more")
        self._typed += self._lines.popleft()
        self._quiet_since = now
        return now

    def take(self) -> bytes:
        """The line that was typed."""
        typed, self._typed = self._typed, b""
        return typed


class TypedAtTerminal:
    """A person at a terminal.

    Args:
        terminal: The terminal, in character mode.
    """

    def __init__(self, terminal: RawTerminal) -> None:
        self._terminal = terminal
        self._typed = b""

    def heard(self, now: int) -> None:
        """The person sees it."""

    def waits(self, now: int, until: int | None) -> int | None:
        """Wait for a key, a moment at most."""
        longest = _SLICE_NS if until is None else min(_SLICE_NS, max(0, until - now))
        began = time.monotonic_ns()
        self._typed += self._terminal.read(longest / _SECOND_NS)
        if self._terminal.ended:
            raise InputEnded("the terminal is gone, and the system waits for input")
        passed = min(longest, time.monotonic_ns() - began) if self._typed else longest
        return now + passed

    def take(self) -> bytes:
        """What was typed."""
        typed, self._typed = self._typed + self._terminal.read(0), b""
        return typed
