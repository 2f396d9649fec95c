from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.td.ranges import RangeMap

LIMIT = 40
_change = st.tuples(st.integers(0, LIMIT), st.integers(0, LIMIT), st.sampled_from(["a", "b", "c", None]))


def _apply(changes: list[tuple[int, int, str | None]]) -> tuple[RangeMap[str], list[str | None]]:
    ranges: RangeMap[str] = RangeMap()
    cells: list[str | None] = [None] * LIMIT
    for start, end, value in changes:
        if value is None:
            ranges.clear(start, end)
        else:
            ranges.set(start, end, value)
        for at in range(start, end):
            cells[at] = value
    return ranges, cells


@given(st.lists(_change, max_size=30))
def test_every_cell_reads_as_in_an_array(changes: list[tuple[int, int, str | None]]) -> None:
    ranges, cells = _apply(changes)
    assert [ranges.get(at) for at in range(LIMIT)] == cells
    for at in range(LIMIT):
        found = ranges.find(at)
        assert (found is None) == (cells[at] is None)
        if found is not None:
            assert found[0] <= at < found[1]
            assert set(cells[found[0] : found[1]]) == {found[2]}


@given(st.lists(_change, max_size=30))
def test_spans_are_sorted_disjoint_and_joined_and_totals_agree(changes: list[tuple[int, int, str | None]]) -> None:
    ranges, cells = _apply(changes)
    spans = list(ranges.spans())
    assert len(spans) == len(ranges)
    for before, after in pairwise(spans):
        assert before[1] < after[0] or (before[1] == after[0] and before[2] != after[2])
    for value in "abc":
        assert ranges.total(value) == cells.count(value)


@given(st.lists(_change, max_size=20), st.integers(0, LIMIT), st.integers(0, LIMIT))
def test_spans_are_clipped_to_the_window(changes: list[tuple[int, int, str | None]], low: int, high: int) -> None:
    ranges, cells = _apply(changes)
    seen: list[str | None] = [None] * LIMIT
    for start, end, value in ranges.spans(low, high):
        assert low <= start < end <= high
        seen[start:end] = [value] * (end - start)
    assert seen == [cell if low <= at < high else None for at, cell in enumerate(cells)]


@given(st.lists(_change, max_size=20), st.integers(0, LIMIT))
def test_next_start_is_the_first_range_above(changes: list[tuple[int, int, str | None]], at: int) -> None:
    ranges, _ = _apply(changes)
    assert ranges.next_start(at) == next((start for start, _, _ in ranges.spans() if start > at), None)


@given(st.lists(_change, max_size=20), st.integers(0, LIMIT - 1))
def test_a_gap_is_all_that_lies_between_two_ranges(changes: list[tuple[int, int, str | None]], at: int) -> None:
    ranges, cells = _apply(changes)
    if cells[at] is None:
        start, end = ranges.gap(at)
        assert set(cells[start : LIMIT if end is None else end]) == {None}
        assert start == 0 or cells[start - 1] is not None
        assert end is None or cells[end] is not None


def test_a_copy_goes_its_own_way() -> None:
    ranges: RangeMap[str] = RangeMap()
    ranges.set(0, 10, "a")
    twin = ranges.copy()
    twin.set(5, 20, "b")
    assert list(ranges.spans()) == [(0, 10, "a")]
    assert list(twin.spans()) == [(0, 5, "a"), (5, 20, "b")]
    assert (ranges.total("a"), twin.total("a")) == (10, 5)
