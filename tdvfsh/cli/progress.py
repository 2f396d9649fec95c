"""Progress of long work, on a terminal only and only where it takes long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tdvfsh.lazy_typing import Protocol


class Progress(Protocol):
    """What long work tells how far it has come: :class:`tdvfsh.ui.progress.ProgressLine`, or nobody."""

    def __call__(self, label: str, done: int, total: int) -> None:
        """So many bytes are done."""
        ...

    def count(self, label: str, done: int, total: int) -> None:
        """So many things are done."""
        ...

    def clear(self) -> None:
        """Take the line off the terminal."""
        ...


class _Nobody:
    def __call__(self, label: str, done: int, total: int) -> None:
        pass

    def count(self, label: str, done: int, total: int) -> None:
        pass

    def clear(self) -> None:
        pass


@contextmanager
def unpack_progress() -> Iterator[Progress]:
    """What is called with (label, done, total), and shows a bar after a second."""
    with progress_on(sys.stderr.isatty()) as progress:
        yield progress


@contextmanager
def progress_on(terminal: bool) -> Iterator[Progress]:
    """:func:`unpack_progress` for a known answer to whether a user is watching."""
    if not terminal:
        yield _Nobody()
        return
    from tdvfsh.ui.progress import progress_bar

    with progress_bar("") as line:
        yield line
