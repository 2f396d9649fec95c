"""Ctrl-C: a running command stops at its next checkpoint, and where it has none, a little later where it stands.

A signal that raised at once could leave a half-changed memory map; a flag alone could not stop a command that
looks at no checkpoint. So the first Ctrl-C sets the flag and an alarm; the alarm, or a second Ctrl-C, raises.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tdvfsh.lazy_typing import Final

GRACE_SECONDS: Final = 1.0


class Interrupts:
    """Handler of SIGINT while it is entered; must be entered in the main thread.

    Args:
        grace: Seconds that a command has to reach a checkpoint.

    Attributes:
        stopped: Whether the user stopped the command that runs, or ran last.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._pending = False
        self._waiting = False
        self._running = False
        self.stopped = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take SIGINT and SIGALRM over, and restore them."""
        old = signal.signal(signal.SIGINT, self._on_interrupt), signal.signal(signal.SIGALRM, self._on_alarm)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGINT, old[0])
            signal.signal(signal.SIGALRM, old[1])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around one command."""
        self._pending, self._running, self.stopped = False, True, False
        try:
            yield
        finally:
            self._running = False
            self._settle()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Context of waiting for the user: Ctrl-C raises KeyboardInterrupt at once."""
        before, self._waiting = self._waiting, True
        try:
            yield
        except KeyboardInterrupt:
            self.stopped = True
            raise
        finally:
            self._waiting = before

    def take(self) -> bool:
        """Whether the user pressed Ctrl-C; asking clears the request."""
        if not self._settle():
            return False
        self.stopped = True
        return True

    def _settle(self) -> bool:
        pending, self._pending = self._pending, False
        if pending:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return pending

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._waiting or self._pending:
            self.take()
            raise KeyboardInterrupt
        if self._running:
            self._pending = True
            signal.setitimer(signal.ITIMER_REAL, self._grace)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if self.take():
            raise KeyboardInterrupt
