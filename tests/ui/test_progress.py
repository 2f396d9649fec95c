"""Progress of long work."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.ui.progress import progress_bar, progress_line
from tdvfsh.units import MIB


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class _Screen:
    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")

    def read(self) -> str:
        self.stream.flush()
        os.set_blocking(self._master, False)
        data = b""
        with suppress(BlockingIOError):
            while more := os.read(self._master, 1 << 16):  # a terminal hands out less than was written
                data += more
        return data.decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Screen]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LC_ALL", "C")
    made = _Screen()
    yield made
    made.close()


def test_work_of_less_than_half_a_second_shows_nothing(screen: _Screen) -> None:
    clock = _Clock()
    with progress_bar("unpacking", stream=screen.stream, clock=clock) as tell:
        clock.now += 0.4
        tell("initrd", 1, 2)
    assert screen.read() == ""


def test_a_bar_appears_after_half_a_second_and_is_gone_at_the_end(screen: _Screen) -> None:
    clock = _Clock()
    with progress_bar("unpacking", stream=screen.stream, clock=clock) as tell:
        clock.now += 0.6
        tell("initrd", 50 * MIB, 100 * MIB)
        shown = screen.read()
        assert "unpacking initrd [###" in shown
        assert "50% 50 MiB of 100 MiB" in shown
    assert screen.read() == "\r\x1b[K"


def test_it_is_drawn_ten_times_a_second_at_most(screen: _Screen) -> None:
    clock = _Clock()
    with progress_bar("x", stream=screen.stream, clock=clock) as tell:
        clock.now += 1
        for number in range(1000):
            clock.now += 0.001
            tell("", number * MIB, 1000 * MIB)
        assert 9 <= screen.read().count("\r") <= 11


def test_an_interrupt_leaves_a_clean_line(screen: _Screen) -> None:
    clock = _Clock()

    def work() -> None:
        with progress_bar("x", stream=screen.stream, clock=clock) as tell:
            clock.now += 2
            tell("", 1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert screen.read().endswith("\r\x1b[K")


def test_control_characters_of_a_label_do_not_reach_the_terminal(screen: _Screen) -> None:
    clock = _Clock()
    with progress_bar("x", stream=screen.stream, clock=clock) as tell:
        clock.now += 2
        tell("a\x1b[2Jb", 0, 0)
        assert "a\\x1b[2Jb\x1b[K" in screen.read()


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    clock, log = _Clock(), StringIO()
    with progress_bar("fetching", stream=log, clock=clock) as tell:
        for _ in range(25):
            clock.now += 1
            tell("kernel", 3 * MIB, 12 * MIB)
    assert log.getvalue() == "fetching kernel: 3 MiB of 12 MiB\n" * 2


def test_a_dumb_terminal_gets_lines_as_a_log_does(screen: _Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    clock = _Clock()
    with progress_bar("", stream=screen.stream, clock=clock) as tell:
        clock.now += 11
        tell("", 3, 7)
    assert screen.read() == "3 B of 7 B\r\n"


def test_things_are_counted_with_their_thousands_and_without_a_total_where_there_is_none() -> None:
    clock, log = _Clock(), StringIO()
    with progress_bar("sweep", stream=log, clock=clock) as line:
        for total in (2_000_000, 0):
            clock.now += 11
            line.count("", 12_345, total)
    assert log.getvalue() == "sweep: 12,345 of 2,000,000\nsweep: 12,345\n"


def test_where_nothing_is_known_of_amounts_the_label_stands_alone() -> None:
    clock, log = _Clock(), StringIO()
    with progress_bar("", stream=log, clock=clock) as tell:
        clock.now += 11
        tell("2.1 G instructions", 0, 0)
    assert log.getvalue() == "2.1 G instructions\n"


def test_a_stream_that_fails_does_not_stop_the_work() -> None:
    clock, log = _Clock(), StringIO()
    with progress_bar("x", stream=log, clock=clock) as tell:
        log.close()
        clock.now += 11
        tell("", 1, 2)


@given(
    st.text(max_size=200),
    st.text(max_size=60),
    st.none() | st.floats(-1, 2),
    st.integers(0, 300),
    st.booleans(),
)
def test_the_line_never_exceeds_the_window(
    head: str, amount: str, share: float | None, width: int, blocks: bool
) -> None:
    assert len(progress_line(head, amount, share, width, blocks=blocks)) <= width
