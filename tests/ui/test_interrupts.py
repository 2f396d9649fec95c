"""Ctrl-C while a command runs."""

from __future__ import annotations

import signal

import pytest

from tdvfsh.ui.interrupts import Interrupts


def _press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_one_waits_for_a_checkpoint_and_is_seen_once() -> None:
    interrupts = Interrupts()
    with interrupts.handled(), interrupts.running():
        assert not interrupts.take()
        _press()
        assert interrupts.take()
        assert not interrupts.take()
    assert interrupts.stopped


def test_the_second_one_raises() -> None:
    interrupts = Interrupts()
    with interrupts.handled(), interrupts.running():
        _press()
        with pytest.raises(KeyboardInterrupt):
            _press()


def test_a_command_without_checkpoints_is_stopped_a_little_later() -> None:
    interrupts = Interrupts(grace=0.01)
    with interrupts.handled(), interrupts.running():
        _press()
        with pytest.raises(KeyboardInterrupt):
            signal.pause()


def test_while_the_person_is_asked_it_raises_at_once() -> None:
    interrupts = Interrupts()
    with interrupts.handled(), interrupts.running(), pytest.raises(KeyboardInterrupt), interrupts.waiting():
        _press()
    assert interrupts.stopped


def test_one_that_comes_too_late_stops_nothing() -> None:
    interrupts = Interrupts(grace=0.01)
    with interrupts.handled():
        with interrupts.running():
            _press()
        assert not interrupts.take()
        _press()
        with interrupts.running():
            assert not interrupts.take()
    assert not interrupts.stopped


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    with Interrupts().handled():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == before
