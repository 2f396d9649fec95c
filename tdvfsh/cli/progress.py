"""Progress of long work, on a terminal only and only where it takes long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdvfsh.engine.board.limit import RunLimit

Tell = Callable[[str, int, int], None]


@contextmanager
def unpack_progress() -> Iterator[Tell]:
    """A callback for (label, done, total), which shows a bar after a second."""
    with progress_on(sys.stderr.isatty()) as tell:
        yield tell


@contextmanager
def progress_on(terminal: bool) -> Iterator[Tell]:
    """:func:`unpack_progress` for a known answer to whether a user is watching."""
    if not terminal:
        yield lambda label, done, total: None
        return
    from tdvfsh.ui.progress import progress_bar

    with progress_bar("") as tell:
        yield tell


@contextmanager
def run_progress(limit: RunLimit, shown: bool = True) -> Iterator[None]:
    """Show how far the runs under a limit have come.

    Args:
        limit: Theirs.
        shown: Whether to show anything: not where the guest's console is on the same terminal.
    """
    with progress_on(shown and sys.stderr.isatty()) as tell:
        limit.progress = lambda status: tell(status, 0, 0)
        try:
            yield
        finally:
            limit.progress = None
