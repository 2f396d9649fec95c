"""Signals that end a run: what their handlers raise is lost, or worse, where Unicorn calls Python."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tdvfsh.engine.board.limit import GivenUp, RunLimit


class Ended(BaseException):
    """What the handlers of these tests raise."""


def nothing(*arguments: object) -> None:
    """A handler that is not seen."""


def end(*arguments: object) -> None:
    """A handler that raises."""
    raise Ended


@contextmanager
def handled(name: str, handler: Callable[..., None]) -> Iterator[int]:
    """The number of a signal that has this handler."""
    number = getattr(signal, name)
    before = signal.signal(number, handler)
    try:
        yield number
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("patient", [False, True])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_the_process_ends_the_run_with_its_exit_status(name: str, patient: bool) -> None:
    with handled(name, nothing) as number, RunLimit() as limit:
        if patient:
            limit.be_patient()
        assert not limit.reached()
        os.kill(os.getpid(), number)
        assert limit.reached()
        with pytest.raises(SystemExit) as ended:
            limit.give_up()
    assert ended.value.code == 128 + number


@pytest.mark.parametrize(("name", "told"), [("SIGINT", KeyboardInterrupt), ("SIGTERM", SystemExit)])
def test_a_signal_raises_nothing_while_guest_code_runs_and_ends_the_run_by_the_timer(
    name: str, told: type[BaseException]
) -> None:
    with handled(name, end) as number, RunLimit() as limit:
        limit.guest_runs = lambda: True
        os.kill(os.getpid(), number)
        assert limit.reached()
        with pytest.raises(told):
            limit.give_up()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_its_handler_raises_at_once_where_no_guest_code_runs(name: str) -> None:
    with handled(name, end) as number, RunLimit():
        with pytest.raises(Ended):
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is not end
    with handled(name, end) as number:
        assert signal.getsignal(number) is end


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_is_not_lost_where_the_run_ended_before_the_timer_looked(name: str) -> None:
    def a_run_that_just_ends(number: int) -> None:
        with RunLimit() as limit:
            limit.guest_runs = lambda: True
            os.kill(os.getpid(), number)
            limit.guest_runs = lambda: False

    with handled(name, end) as number, pytest.raises(Ended):
        a_run_that_just_ends(number)


@pytest.mark.parametrize("patient", [False, True])
def test_a_signal_that_only_tells_something_ends_nothing(patient: bool) -> None:
    with handled("SIGWINCH", nothing) as number, RunLimit() as limit:
        if patient:
            limit.be_patient()
        os.kill(os.getpid(), number)
        assert not limit.reached()


@pytest.mark.parametrize("runs", [False, True])
def test_the_second_ctrl_c_ends_a_patient_run_that_never_comes_to_rest(runs: bool) -> None:
    with RunLimit() as limit:
        limit.be_patient()
        limit.guest_runs = lambda: runs
        for pressed in (1, 2):
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
            assert limit.reached() == (pressed == 2)
        with pytest.raises(KeyboardInterrupt):
            limit.give_up()


def test_patience_ends_a_while_after_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with RunLimit() as limit:
        limit.be_patient()
        os.kill(os.getpid(), signal.SIGINT)
        now = 105.0
        with pytest.raises(GivenUp):
            limit.give_up()
        now = 115.0
        assert limit.reached()
        with pytest.raises(KeyboardInterrupt):
            limit.give_up()
