"""How far a run of real code has come, on the last line of the terminal, below what its consoles show there."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tdvfsh.cli.output import TextSink
from tdvfsh.cli.progress import Progress, progress_on
from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdvfsh.engine.board.limit import RunLimit


class RunStatus:
    """What runs tell of themselves; called with it on the thread of a run's timer, while the run itself writes.

    Args:
        progress: Where it is shown.
        clock: Real seconds, from any start: they show life where virtual time stands still.

    Attributes:
        prefix: Stands in front of it.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self.prefix = ""
        self._progress = progress
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        self._in_line = False

    def __call__(self, status: str) -> None:
        """Show it, unless a console's line is being written."""
        with self._lock:
            if not self._in_line:
                seconds = self._clock() - self._start
                self._progress(f"{self.prefix}{seconds:.0f} s, {status}", 0, 0)

    def beside(self, stream: TextSink, at_terminal: bool) -> TextSink:
        """A console's stream: what it shows at the terminal takes the status's place, which then goes below it."""
        return _Beside(self, stream) if at_terminal else stream

    def write(self, stream: TextSink, text: str) -> None:
        """Write ``text`` where the status stands."""
        if not text:
            return
        with self._lock:
            self._progress.clear()
            stream.write(text)
            self._in_line = not text.endswith("\n")
            if not self._in_line:
                stream.flush()  # before the status is drawn below it

    def end(self) -> None:
        """The run is over: take the status off the terminal, for what is told now."""
        with self._lock:
            self._progress.clear()
            self._in_line = True


class _Beside:
    def __init__(self, status: RunStatus, stream: TextSink) -> None:
        self._status = status
        self._stream = stream

    def write(self, text: str) -> None:
        self._status.write(self._stream, text)

    def flush(self) -> None:
        self._stream.flush()


@contextmanager
def run_status(shown: bool = True) -> Iterator[RunStatus]:
    """What runs tell of themselves while the block runs, where a user watches.

    Args:
        shown: Whether to show anything: not where a user types at the guest's console.
    """
    with progress_on(shown and sys.stderr.isatty()) as progress:
        yield RunStatus(progress)


@contextmanager
def run_progress(limit: RunLimit, shown: bool = True) -> Iterator[RunStatus]:
    """:func:`run_status` for the runs under a limit."""
    with run_status(shown) as status:
        limit.progress = status
        try:
            yield status
        finally:
            limit.progress = None
