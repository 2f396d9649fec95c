"""How far a run of firmware has come, on a terminal only."""

from __future__ import annotations

import sys

import pytest

from tdvfsh.cli import progress
from tdvfsh.cli.progress import run_progress
from tdvfsh.engine.board.limit import RunLimit


class Terminal:
    """Standard error, on a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "shown", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_run_tells_where_it_is_while_a_user_watches(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, shown: bool, expected: bool
) -> None:
    told: list[str] = []
    monkeypatch.setattr(sys, "stderr", Terminal(terminal))

    def bar(watched: bool) -> object:
        from contextlib import nullcontext

        return nullcontext(lambda label, done, total: told.append(label) if watched else None)

    monkeypatch.setattr(progress, "progress_on", bar)
    with RunLimit() as limit:
        limit.status = lambda: "virtual 1.0 s, 2 GiB accepted"
        with run_progress(limit, shown):
            assert not limit.reached()
        limit.reached()
    assert told == ["virtual 1.0 s, 2 GiB accepted"] * expected
