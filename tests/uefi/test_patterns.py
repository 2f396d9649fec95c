"""File name patterns of the shell and of firmware."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.uefi.patterns import matches


@given(st.text(alphabet="AB*?", max_size=12), st.text(alphabet="AB", max_size=12))
def test_patterns_match_as_fnmatch_says(pattern: str, text: str) -> None:
    assert matches(text, pattern) == fnmatchcase(text, pattern)


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("fs1:", "FS[0-3]:", True),
        ("FS7:", "FS[0-3]:", False),
        ("X", "[AX]", True),
        ("B", "[A-C", True),  # a set that nothing closes ends with the pattern
        ("[A", "[A", False),
    ],
)
def test_sets_hold_members_and_ranges(name: str, pattern: str, fits: bool) -> None:
    assert matches(name, pattern) is fits


def test_many_stars_cost_little() -> None:
    assert not matches("A" * 200, "*A" * 100 + "B")
