"""Ticks of axes are round and where the data is."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.sweep.ticks import round_sizes, round_steps
from tdvfsh.units import GIB, MIB


def test_ticks_are_what_a_person_would_choose() -> None:
    assert round_sizes(80 * MIB, 1 * GIB, 8) == [size * MIB for size in range(128, 1025, 128)]
    assert round_sizes(5, 5, 8) == [5]
    assert [f"{step:.3g}" for step in round_steps(0.071, 5)] == ["0", "0.02", "0.04", "0.06", "0.08"]
    assert [f"{step:.3g}" for step in round_steps(1.0, 5)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


@given(st.integers(1, 1 << 52), st.integers(0, 1 << 52), st.integers(2, 12))
def test_sizes_lie_within_evenly_and_are_as_many_as_there_may_be(low: int, span: int, most: int) -> None:
    ticks = round_sizes(low, low + span, most)
    assert all(low <= tick <= low + span for tick in ticks)
    assert len(ticks) <= most
    assert len({later - earlier for earlier, later in pairwise(ticks)}) <= 1
    assert span < most or len(ticks) >= most // 2 - 1


@given(st.floats(1e-9, 1e9), st.integers(2, 12))
def test_steps_begin_at_0_and_reach_the_highest(high: float, most: int) -> None:
    steps = round_steps(high, most)
    assert steps[0] == 0
    assert high * (1 - 1e-6) <= steps[-1] < 2.6 * high
    assert 2 <= len(steps) <= most + 2


def test_where_nothing_takes_time_there_is_an_axis_all_the_same() -> None:
    assert round_steps(0, 5) == [0.0, 1.0]
