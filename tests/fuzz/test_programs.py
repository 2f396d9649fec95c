"""A few of the random programs, and that they get far enough to mean something."""

from __future__ import annotations

from random import Random

from tests.fuzz.programs import make_program, run_programs


def test_random_programs_leave_a_state_that_holds_and_get_past_their_first_bad_pointer() -> None:
    found = run_programs(60, seed=20)
    assert found.calls > 60 * 20
    assert found.succeeded > found.calls * 0.4
    assert len(found.services) > 40


def test_a_seed_repeats_a_program() -> None:
    assert make_program(Random("a")) == make_program(Random("a")) != make_program(Random("b"))
