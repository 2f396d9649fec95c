"""What a firmware allocates and frees, found again in its own lists of descriptors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.td.firmware_calls import FirmwareCall
from tdvfsh.td.footprint import Piece
from tdvfsh.td.map_changes import (
    MapChange,
    Typed,
    changed,
    firmware_calls,
    map_changes,
    split_layout,
    without_detours,
)
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import PAGE_SIZE

FREE, DATA, CODE = (
    EfiMemoryType.EfiConventionalMemory,
    EfiMemoryType.EfiBootServicesData,
    EfiMemoryType.EfiBootServicesCode,
)
PAGES = 24
BEFORE: list[Typed] = [(0, PAGES * PAGE_SIZE, FREE)]


def change(start: int, end: int, before: EfiMemoryType, after: EfiMemoryType) -> MapChange:
    return MapChange(start * PAGE_SIZE, end * PAGE_SIZE, before, after)


@st.composite
def histories(draw: Callable[..., Any]) -> list[MapChange]:
    """Allocations of free pages, and frees of what was allocated, in any order."""
    owned: list[MapChange] = []
    history: list[MapChange] = []
    for _ in range(draw(st.integers(0, 12))):
        if owned and draw(st.booleans()):
            gone = owned.pop(draw(st.integers(0, len(owned) - 1)))
            history.append(MapChange(gone.start, gone.end, gone.after, FREE))
            continue
        start, pages = draw(st.integers(0, PAGES - 1)), draw(st.integers(1, 4))
        new = change(start, min(PAGES, start + pages), FREE, DATA)
        if all(new.end <= other.start or other.end <= new.start for other in owned):
            owned.append(new)
            history.append(new)
    return history


@given(histories())
def test_an_undisturbed_stretch_leads_where_all_changes_lead(history: list[MapChange]) -> None:
    def end(changes: list[MapChange]) -> list[Typed]:
        state = BEFORE
        for each in changes:
            state = changed(state, each)
        return state

    shortened = without_detours(BEFORE, history)
    assert end(shortened) == end(history)
    assert len(shortened) <= len(history)


@given(histories())
def test_every_free_names_pages_that_a_call_before_it_allocated(history: list[MapChange]) -> None:
    held: dict[int, int] = {}
    for number, call in enumerate(firmware_calls(history, PAGES * PAGE_SIZE)):
        assert call.address is None
        if call.memory_type is not None:
            held[number] = call.pages
        else:
            assert call.frees is not None
            held[call.frees] -= call.pages
            assert held[call.frees] >= 0


def test_a_buffer_that_came_and_went_is_left_out_and_a_step_keeps_its_place() -> None:
    history = [
        change(4, 6, FREE, DATA),
        change(2, 3, FREE, DATA),
        change(2, 3, DATA, FREE),
        MapChange(0, 0, FREE, FREE, "image"),
        change(8, 9, FREE, CODE),
    ]
    assert [(each.start // PAGE_SIZE, each.mark) for each in without_detours(BEFORE, history)] == [
        (4, None), (0, "image"), (8, None),
    ]  # fmt: skip


def test_what_became_of_a_range_shows_in_the_next_list() -> None:
    maps = [
        [(0, 2 * PAGE_SIZE, FREE), (4 * PAGE_SIZE, PAGES * PAGE_SIZE, FREE)],
        [(0, 2 * PAGE_SIZE, FREE), (2 * PAGE_SIZE, 4 * PAGE_SIZE, DATA), (5 * PAGE_SIZE, PAGES * PAGE_SIZE, FREE)],
        [(0, 2 * PAGE_SIZE, FREE), (2 * PAGE_SIZE, 4 * PAGE_SIZE, DATA), (4 * PAGE_SIZE, 5 * PAGE_SIZE, CODE),
         (5 * PAGE_SIZE, PAGES * PAGE_SIZE, FREE)],
    ]  # fmt: skip
    assert map_changes(BEFORE, maps) == [change(2, 4, FREE, DATA), change(4, 5, FREE, CODE)]


def test_a_part_that_is_freed_counts_from_its_allocation_s_start() -> None:
    calls = firmware_calls([change(4, 8, FREE, DATA), change(6, 8, DATA, FREE), change(1, 2, DATA, FREE)], 0)
    assert calls[1] == FirmwareCall(frees=0, offset=2, pages=2)
    assert calls[2] == FirmwareCall(address=PAGE_SIZE, pages=1)


def test_the_largest_free_piece_parts_fixed_ones_from_those_that_move_with_the_top() -> None:
    top = 64 * PAGE_SIZE
    pieces = [
        Piece(0, PAGE_SIZE, DATA, 0),
        Piece(PAGE_SIZE, 50 * PAGE_SIZE, FREE, 0),
        Piece(50 * PAGE_SIZE, 60 * PAGE_SIZE, CODE, 0),
        Piece(60 * PAGE_SIZE, top, DATA, 0),
    ]
    fixed, moving = split_layout(pieces, top)
    assert fixed == (pieces[0],)
    assert [(piece.start, piece.end) for piece in moving] == [(-14 * PAGE_SIZE, -4 * PAGE_SIZE), (-4 * PAGE_SIZE, 0)]


def test_neighbours_that_became_the_same_are_one_change() -> None:
    first, last = (0, 2 * PAGE_SIZE, FREE), (6 * PAGE_SIZE, PAGES * PAGE_SIZE, FREE)
    pieces = [(page * PAGE_SIZE, (page + 1) * PAGE_SIZE, DATA if page < 5 else CODE) for page in range(2, 6)]
    assert map_changes(BEFORE, [[first, last], [first, *pieces, last]]) == [
        change(2, 5, FREE, DATA),
        change(5, 6, FREE, CODE),
    ]


def test_a_free_that_the_next_allocation_hides_is_found_again() -> None:
    """A buffer of 4 pages is freed, and one of 6 takes its place at once: it was never seen free."""
    page = PAGE_SIZE
    before: list[Typed] = [(0, 10 * page, FREE), (10 * page, 14 * page, DATA), (14 * page, 20 * page, CODE)]
    freeing: list[Typed] = [before[0], before[2]]
    allocating: list[Typed] = [(0, 8 * page, FREE), before[2]]
    after: list[Typed] = [(0, 8 * page, FREE), (8 * page, 14 * page, DATA), before[2]]
    assert map_changes(before, [freeing, allocating, after]) == [change(10, 14, DATA, FREE), change(8, 14, FREE, DATA)]
