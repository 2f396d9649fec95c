"""Modelled times in words: two significant digits, the likely value between low and high, and what they rest on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.report.modelled_text import cell_text, range_text
from tdvfsh.td.cost import NO_TIME, Modelled
from tdvfsh.units import human_seconds

MS = 1_000_000
DIGITS = re.compile(r"\d+(?:\.\d+)?")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (234.913, "230 s"), (26.96, "27 s"), (1, "1.0 s"), (9.99, "10 s"), (0.9999, "1.0 s"),
        (0.0345, "34 ms"), (0.00000807, "8.1 us"), (1234, "1200 s"), (9e-10, "0.90 ns"),
    ],
)  # fmt: skip
def test_seconds_have_two_significant_digits(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(
    ("time", "text", "cell"),
    [
        (Modelled(19_100 * MS, 27_000 * MS, 36_800 * MS), "19-37 s, likely 27 s", "27 s (19-37 s)"),
        (Modelled(500 * MS, 780 * MS, 1100 * MS), "0.50-1.1 s, likely 780 ms", "780 ms (0.50-1.1 s)"),
        (Modelled(9 * MS, 27 * MS, 1100 * MS), "9.0 ms-1.1 s, likely 27 ms", "27 ms (9.0 ms-1.1 s)"),
        (Modelled(9 * MS, 9 * MS, 9 * MS), "9.0 ms", "9.0 ms"),
        (Modelled(1 * MS, 2 * MS, 3 * MS, 1 * MS), "1.0-3.0 ms, likely 2.0 ms, placeholder",
         "2.0 ms (1.0-3.0 ms, placeholder)"),
        (Modelled(2 * MS, 2 * MS, 2 * MS, 0, True), "2.0 ms, extrapolated", "2.0 ms (extrapolated)"),
        (NO_TIME, "0 s", "-"),
    ],
)  # fmt: skip
def test_a_range_says_low_high_likely_and_what_it_rests_on(time: Modelled, text: str, cell: str) -> None:
    assert (range_text(time), cell_text(time)) == (text, cell)


@given(st.lists(st.integers(1, 10**13), min_size=3, max_size=3).map(sorted))
def test_no_number_has_a_third_significant_digit(values: list[int]) -> None:
    for number in DIGITS.findall(range_text(Modelled(values[0], values[1], values[2]))):
        assert len(number.replace(".", "").strip("0")) <= 2
