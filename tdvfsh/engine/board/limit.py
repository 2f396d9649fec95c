"""When a run is aborted: after a number of real seconds, or when the user presses Ctrl-C.

While guest code runs no Python does, so a signal's handler would wait for the guest; the wakeup descriptor, which the
C level writes, tells the timer's thread at once.

What a handler raises while Unicorn calls Python is lost, or becomes a failure of the instruction that it called for: a
signal that comes then is noted, and ends the run at once.

A run whose machine is to be saved ends between two instructions instead, where the machine can go on: its limit is
patient, and looked at there. A second Ctrl-C aborts such a run as any other, and so does :data:`_PATIENCE` after the
first or after the end of its time. Signals that end the process wait for nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from tdvfsh.engine.errors import EngineError
from tdvfsh.lazy_typing import Any, Final

MOST_RECORDS: Final = 1_000_000
"""Records of one kind that a run keeps: of a program without an end, the host has memory for no more."""
_PATIENCE: Final = 10.0
"""Seconds that a patient limit waits for a moment at which the machine can be saved: there are hundreds in each."""
_INTERRUPTS: Final = ("SIGINT", "SIGQUIT")
_ENDS: Final = ("SIGTERM", "SIGHUP")


class GivenUp(EngineError):
    """End of a run that was given up between two instructions; its machine can go on."""


def check_count(count: int, what: str, most: int | None = None) -> None:
    """End a run that has made too many records.

    Args:
        count: How many there are.
        what: What they are of, for the message.
        most: How many there may be; :data:`MOST_RECORDS` where None.

    Raises:
        EngineError: There are as many.
    """
    most = MOST_RECORDS if most is None else most
    if count >= most:
        raise EngineError(f"stopped after {most:,} {what}: one run keeps no more")


class RunLimit:
    """A context in which runs can be aborted.

    Args:
        seconds: Real seconds from now; None for no limit.

    Attributes:
        progress: Called now and then, on the timer's thread, with what the run says of itself; None for nobody.
        status: Says how far the run has come.
        guest_runs: Whether guest code runs at the moment, set by who runs it.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.progress: Callable[[str], None] | None = None
        self.status: Callable[[], str] | None = None
        self.guest_runs: Callable[[], bool] = lambda: False
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds
        self._pipe: tuple[int, int] | None = None
        self._before = -1
        self._interrupted = False
        self._patient = False
        self._ended_by: int | None = None
        self._presses = 0
        self._noted: int | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> RunLimit:
        self._interrupted = self._patient = False
        self._ended_by = self._noted = None
        self._presses = 0
        if threading.current_thread() is threading.main_thread():
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)
            self._before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            for name in (*_INTERRUPTS, *_ENDS):
                self._take_over(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        handlers, self._handlers = self._handlers, {}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if self._pipe is not None:
            signal.set_wakeup_fd(self._before)
            for end in self._pipe:
                os.close(end)
            self._pipe = None
        if error is None and self._noted is not None:  # the run ended before the timer looked
            handlers[self._noted](self._noted, None)

    def be_patient(self) -> None:
        """From now on the run ends where :attr:`due` is asked for, until the context ends."""
        self._patient = True

    def _take_over(self, name: str) -> None:
        number = getattr(signal, name, None)
        handler = None if number is None else signal.getsignal(number)
        if number is not None and callable(handler):
            self._handlers[number] = handler
            signal.signal(number, self._came)

    def _came(self, number: int, frame: FrameType | None) -> None:
        """A signal: noted where what its handler raises would be lost; the timer's thread is told by the pipe."""
        if self._patient and signal.Signals(number).name in _INTERRUPTS:
            if not self._interrupted:
                self._interrupted = True
                now = time.monotonic()
                self._end = now if self._end is None else min(self._end, now)
            elif not self.guest_runs():
                raise KeyboardInterrupt
        elif self.guest_runs():
            self._noted = number
        else:
            self._handlers[number](number, frame)

    @property
    def over(self) -> bool:
        """Whether the time is up, and patience too."""
        if self._patient and self._presses > 1:
            return True
        patience = _PATIENCE if self._patient else 0.0
        return self._end is not None and time.monotonic() > self._end + patience

    @property
    def due(self) -> bool:
        """Whether a run with a patient limit ends here."""
        return self._patient and (self._interrupted or (self._end is not None and time.monotonic() > self._end))

    def reached(self) -> bool:
        """Whether the run must end; asked by the timer's thread."""
        if self.progress is not None and self.status is not None:
            self.progress(self.status())
        if self._pipe is not None:
            with contextlib.suppress(BlockingIOError):
                for number in os.read(self._pipe[0], 64):
                    self._take(number)
        return (self._interrupted and not self._patient) or self._ended_by is not None or self.over

    def _take(self, number: int) -> None:
        """A signal came; those that only tell something, such as another size of the terminal, are none of ours."""
        name = signal.Signals(number).name
        if name in _INTERRUPTS:
            self._presses += 1
            self._interrupted = self._interrupted or not self._patient  # else its handler notes it
        elif name in _ENDS:
            self._ended_by = number

    def give_up(self) -> None:
        """End it.

        Raises:
            KeyboardInterrupt: The user has interrupted it.
            SystemExit: A signal came that ends the process.
            GivenUp: The run ends where its machine can go on.
            EngineError: The time is up.
        """
        self._noted = None
        if self._ended_by is not None:
            raise SystemExit(128 + self._ended_by)
        if self.due and not self.over:
            raise GivenUp("interrupted by the user" if self._interrupted else f"given up after {self._seconds:g} s")
        if self._interrupted:
            raise KeyboardInterrupt
        raise EngineError(f"given up after {self._seconds:g} s")
