"""Ticks of axes are round and where the data is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.report.modelled_text import ModelledSeconds
from tdvfsh.sweep.drawing.ticks import decade_steps, round_sizes
from tdvfsh.sweep.drawing.time_axis import TimeAxis
from tdvfsh.units import GIB, MIB


def test_ticks_are_what_a_person_would_choose() -> None:
    assert round_sizes(80 * MIB, 1 * GIB, 8) == [size * MIB for size in range(128, 1025, 128)]
    assert round_sizes(5, 5, 8) == [5]
    assert [f"{step:.3g}" for step in decade_steps(0.071, 3, 8)] == ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"]
    assert [f"{step:.3g}" for step in decade_steps(0.003, 40, 6)] == ["0.001", "0.01", "0.1", "1", "10", "100"]


@given(st.integers(1, 1 << 52), st.integers(0, 1 << 52), st.integers(2, 12))
def test_sizes_lie_within_evenly_and_are_as_many_as_there_may_be(low: int, span: int, most: int) -> None:
    ticks = round_sizes(low, low + span, most)
    assert all(low <= tick <= low + span for tick in ticks)
    assert len(ticks) <= most
    assert len({later - earlier for earlier, later in pairwise(ticks)}) <= 1
    assert span < most or len(ticks) >= most // 2 - 1


@given(st.floats(1e-9, 1e9), st.floats(1, 1e9), st.integers(3, 12))
def test_decades_enclose_what_is_plotted_and_are_few(low: float, ratio: float, most: int) -> None:
    steps = decade_steps(low, low * ratio, most)
    assert steps[0] <= low * (1 + 1e-6)
    assert steps[-1] >= low * ratio * (1 - 1e-6)
    assert 2 <= len(steps) <= most + 1
    assert steps == sorted(set(steps))


def test_what_takes_no_time_lies_at_the_foot_of_the_axis_below_what_takes_some() -> None:
    axis = TimeAxis([ModelledSeconds(0, 0, 0), ModelledSeconds(2, 1, 4)])
    assert axis.steps[:2] == [0, 1]
    assert 0 == axis.share(0) < axis.share(1) < axis.share(2) < axis.share(4) < axis.share(5)
    assert axis.share(5) == pytest.approx(1)
    assert TimeAxis([ModelledSeconds(0, 0, 0)]).share(0) == 0
