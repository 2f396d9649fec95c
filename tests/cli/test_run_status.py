"""How far a run of real code has come, on a terminal only, below what the guest's console shows there."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tdvfsh.cli import run_status as module
from tdvfsh.cli.run_status import RunStatus, run_progress
from tdvfsh.engine.board.limit import RunLimit


class Terminal:
    """Standard error, on a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Line:
    """The last line of a terminal that shows ``screen``: drawn text stands in brackets, and ``|`` takes it off."""

    def __init__(self, screen: io.StringIO) -> None:
        self.screen = screen

    def __call__(self, label: str, done: int, total: int) -> None:
        self.screen.write(f"[{label}]")

    count = __call__

    def clear(self) -> None:
        self.screen.write("|")


@pytest.mark.parametrize(
    ("terminal", "shown", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_run_tells_where_it_is_while_a_user_watches(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, shown: bool, expected: bool
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", Terminal(terminal))

    @contextmanager
    def line(watched: bool) -> Iterator[Line]:
        yield Line(screen if watched else io.StringIO())

    monkeypatch.setattr(module, "progress_on", line)
    with RunLimit() as limit:
        limit.status = lambda: "virtual 1.0 s, 2 GiB accepted"
        with run_progress(limit, shown):
            assert not limit.reached()
        limit.reached()
    assert screen.getvalue() == "[0 s, virtual 1.0 s, 2 GiB accepted]" * expected


def test_the_status_makes_way_for_the_console_and_waits_for_the_end_of_its_line() -> None:
    screen = io.StringIO()
    status = RunStatus(Line(screen), lambda: 7.0)
    console = status.beside(screen, at_terminal=True)
    status("a")
    console.write("login: ")
    status("b")
    console.write("root\n")
    status("c")
    console.write("")
    status.end()
    status("d")
    assert screen.getvalue() == "[0 s, a]|login: |root\n[0 s, c]|"


def test_a_console_that_goes_to_a_file_leaves_the_status_alone() -> None:
    screen, file = io.StringIO(), io.StringIO()
    now = iter((10.0, 15.2))
    status = RunStatus(Line(screen), lambda: next(now))
    status.prefix = "boot 1 of 2: "
    console = status.beside(file, at_terminal=False)
    console.write("login: ")
    status("a")
    assert (screen.getvalue(), file.getvalue()) == ("[boot 1 of 2: 5 s, a]", "login: ")


def test_a_whole_line_of_the_console_is_seen_before_the_status_is_drawn_below_it() -> None:
    flushed: list[str] = []

    class Buffered(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    screen = Buffered()
    console = RunStatus(Line(io.StringIO())).beside(screen, at_terminal=True)
    console.write("no end yet")
    assert not flushed
    console.write(", now\n")
    assert flushed == ["no end yet, now\n"]
