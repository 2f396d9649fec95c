"""What is typed at an operating system's serial console: by a user, or known in advance.

It arrives while the system waits. Waiting for the user takes real time, which passes for the system too. Lines that
are known are typed one by one, each when the system has waited and said nothing for a moment; where they have come to
their end and it keeps waiting, so has the run.
"""

from __future__ import annotations

import re
import time
from collections import deque

from tdvfsh.engine.console.raw_terminal import RawTerminal
from tdvfsh.engine.errors import EngineError
from tdvfsh.lazy_typing import Final, Protocol

_SECOND_NS: Final = 1_000_000_000
_QUIET_NS: Final = _SECOND_NS // 10
_LAST_WAIT_NS: Final = 60 * _SECOND_NS
_SLICE_NS: Final = _SECOND_NS // 10
_LONGEST_COUNTDOWN_NS: Final = 6 * _SECOND_NS
_SHOWN: Final = 256
_MOST_TYPED: Final = 4096
_ESCAPES: Final = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_PROMPT: Final = re.compile(rb"[^\r\n]*[>#$:] ?\Z")
_LOGIN: Final = re.compile(rb"login: ?\Z")
_SUPERUSER: Final = b"root\r"


class InputEnded(EngineError):
    """All input was typed, and the system still waits."""


class SerialInput(Protocol):
    """Source of input; times are virtual nanoseconds."""

    def heard(self, now: int, byte: int) -> None:
        """The system sends a byte."""

    def waits(self, now: int, until: int | None) -> int | None:
        """The system waits until then, None for ever; returns when to look again, no later.

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

    def heard(self, now: int, byte: int) -> None:
        """The system sends a byte: it is not typed at meanwhile."""
        self._quiet_since = now

    def waits(self, now: int, until: int | None) -> int | None:
        """Type the next line if it is time."""
        patience = self._patience if self._lines else _LAST_WAIT_NS
        due = self._quiet_since + patience
        if now < due:
            return due if until is None else min(until, due)
        if not self._lines:
            raise InputEnded("the input has ended, and the system waits for more")
        self._typed += self._next_line()
        self._quiet_since = now
        return now

    @property
    def _patience(self) -> int:
        """How long the system has been quiet before a line is typed."""
        return _QUIET_NS

    def _next_line(self) -> bytes:
        """What is typed now."""
        return self._lines.popleft()

    def take(self) -> bytes:
        """The line that was typed."""
        typed, self._typed = self._typed, b""
        return typed


class LinesAtPrompts(TypedLines):
    """Lines known in advance for firmware, which counts down before it prompts: any key would end that, and be lost.

    A line is typed at once where the last thing on the screen looks like a prompt, else after a longer silence.
    """

    _longest_silence_ns = _LONGEST_COUNTDOWN_NS

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._shown = bytearray()

    def heard(self, now: int, byte: int) -> None:
        """As :meth:`TypedLines.heard`."""
        super().heard(now, byte)
        self._shown.append(byte)
        if len(self._shown) > _SHOWN:
            del self._shown[: _SHOWN // 2]

    def _ends_with(self, pattern: re.Pattern[bytes]) -> bool:
        """Whether this is the last thing on the screen."""
        return pattern.search(_ESCAPES.sub(b"", self._shown)) is not None

    @property
    def _patience(self) -> int:
        return _QUIET_NS if self._ends_with(_PROMPT) else self._longest_silence_ns


class CommandsAtShell(LinesAtPrompts):
    """Commands for the shell of an operating system, whose services may start in silence before it prompts.

    The first ``login:`` is answered with root, who is expected to have no password, as on the disks of
    ``images make disk``; commands are typed at what follows.
    """

    _longest_silence_ns = _LAST_WAIT_NS

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._logged_in = False

    def _next_line(self) -> bytes:
        if not self._logged_in and self._ends_with(_LOGIN):
            self._logged_in = True
            return _SUPERUSER
        return super()._next_line()


class TypedAtTerminal:
    """Input of a user at a terminal.

    Args:
        terminal: The terminal, in character mode.
    """

    def __init__(self, terminal: RawTerminal) -> None:
        self._terminal = terminal
        self._typed = b""

    def heard(self, now: int, byte: int) -> None:
        """The user sees it."""

    def waits(self, now: int, until: int | None) -> int | None:
        """Wait for a key, a moment at most."""
        longest = _SLICE_NS if until is None else min(_SLICE_NS, max(0, until - now))
        began = time.monotonic_ns()
        if len(self._typed) < _MOST_TYPED:
            self._typed += self._terminal.read(longest / _SECOND_NS)
        if self._terminal.ended:
            raise InputEnded("the terminal is gone, and the system waits for input")
        passed = min(longest, time.monotonic_ns() - began) if self._typed else longest
        return now + passed

    def take(self) -> bytes:
        """What was typed."""
        more = self._terminal.read(0) if len(self._typed) < _MOST_TYPED else b""
        typed, self._typed = self._typed + more, b""
        return typed
