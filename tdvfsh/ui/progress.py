"""How far long work has come.

On a terminal: one line on standard error that appears after half a second, is drawn anew ten times a second at most,
and is gone when the work is done. Elsewhere (a pipe, a CI log, ``TERM=dumb``): a whole line every ten seconds, so that
a log shows life and short work says nothing. Plain writes do all that; nothing here imports prompt_toolkit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tdvfsh.lazy_typing import Final, TextIO
from tdvfsh.ui.output import encodable, escape_controls
from tdvfsh.ui.terminal import is_dumb, is_terminal, shows_blocks, size_of
from tdvfsh.units import human_size

Tell = Callable[[str, int, int], None]
"""Called with (label, done, total in bytes); the total is 0 where it is not known, both where the label says it all."""

FIRST_SECONDS: Final = 0.5
REDRAW_SECONDS: Final = 0.1
LOG_SECONDS: Final = 10.0
_WIDEST_BAR: Final = 30
_NARROWEST_BAR: Final = 5


@contextmanager
def progress_bar(
    title: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[ProgressLine]:
    """Show the progress of what runs inside.

    Args:
        title: What is going on; stands in front of each label. May be empty.
        stream: Where to show it; standard error where None.
        clock: Seconds, from any start.

    Returns:
        The line. Trouble with the stream ends the showing, never the work; an interrupt leaves a clean line.
    """
    line = ProgressLine(title, sys.stderr if stream is None else stream, clock)
    try:
        yield line
    finally:
        line.clear()


class ProgressLine:
    """One line that shows how far work has come; called with what is done, as :data:`Tell` says.

    Args:
        title: Stands in front of each label. May be empty.
        stream: Where it is shown; None for nowhere.
        clock: Seconds, from any start.
    """

    def __init__(self, title: str, stream: TextIO | None, clock: Callable[[], float]) -> None:
        self._title = title
        self._stream = stream
        self._clock = clock
        self._draws = is_terminal(stream) and not is_dumb()
        self._next = clock() + (FIRST_SECONDS if self._draws else LOG_SECONDS)
        self._drawn = False

    def __call__(self, label: str, done: int, total: int) -> None:
        """So many bytes are done."""
        self._tell(label, done, total, octets)

    def count(self, label: str, done: int, total: int) -> None:
        """So many things are done."""
        self._tell(label, done, total, things)

    def _tell(self, label: str, done: int, total: int, words: Callable[[int, int], str]) -> None:
        now = self._clock()
        if now < self._next or self._stream is None:
            return
        self._next = now + (REDRAW_SECONDS if self._draws else LOG_SECONDS)
        head = escape_controls(" ".join(part for part in (self._title, label) if part))
        if self._draws:
            columns = size_of(self._stream).columns
            amount, share = words(done, total), done / total if total > 0 else None
            text = progress_line(head, amount, share, columns - 1, blocks=shows_blocks(self._stream))
            self._write(f"\r{text}\x1b[K")
            self._drawn = True
        else:
            self._write(": ".join(part for part in (head, words(done, total)) if part) + "\n")

    def clear(self) -> None:
        """Take the line off the terminal; the next amount draws it anew."""
        if self._drawn:
            self._drawn = False
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        assert self._stream is not None
        with suppress(OSError, ValueError):
            self._stream.write(encodable(text, self._stream.encoding))
            self._stream.flush()


def octets(done: int, total: int) -> str:
    """How much is done, in readable bytes; nothing where nothing is known."""
    if total > 0:
        return f"{human_size(done)} of {human_size(total)}"
    return human_size(done) if done else ""


def things(done: int, total: int) -> str:
    """How many things are done; nothing where nothing is known."""
    if total > 0:
        return f"{done:,} of {total:,}"
    return f"{done:,}" if done else ""


def progress_line(head: str, amount: str, share: float | None, width: int, *, blocks: bool) -> str:
    """One line of at most ``width`` columns: what, a bar, percent, amount; the bar goes first, then the amount.

    Args:
        head: What is going on.
        amount: How much is done.
        share: The part of it, None where it is not known.
        width: Columns.
        blocks: Whether the bar is made of block characters.
    """
    percent = ""
    if share is not None:
        share = min(1.0, max(0.0, share))
        percent = f"{int(share * 100):3d}%"
    tail = f"{percent} {amount}".strip()
    room = min(_WIDEST_BAR, width - len(head) - len(tail) - 4)
    if share is not None and room >= _NARROWEST_BAR:
        filled = int(share * room)
        full, empty = ("█", "░") if blocks else ("#", ".")
        return f"{head} [{full * filled}{empty * (room - filled)}] {tail}".lstrip()
    for text in (f"{head} {tail}".strip(), f"{head[: max(0, width - len(percent) - 1)]} {percent}".strip()):
        if len(text) <= width:
            return text
    return percent[: max(0, width)]
