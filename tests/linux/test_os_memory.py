"""Linux's bitmap, zones and lists of blocks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.linux.os_memory import UnacceptedMemory, joined, pieces_below_a_block, size_of, without, zones_of
from tdvfsh.units import GIB, KIB, LARGE_PAGE_SIZE, MIB

UNIT = LARGE_PAGE_SIZE
RANGES = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=8).map(
    lambda pairs: joined((start, start + size) for start, size in pairs)
)


@pytest.mark.parametrize(("memory", "kib"), [(2 * GIB, 45056), (8 * GIB, 67584)])
def test_min_free_kbytes_is_what_linux_shows_on_machines_of_that_size(memory: int, kib: int) -> None:
    low = min(memory, 2 * GIB)
    usable = [(0, low)] + ([(4 * GIB, 4 * GIB + memory - low)] if memory > low else [])
    zones = zones_of(usable, ())
    steps = [max((zone.promo - zone.low) // 2, 0) for zone in zones]
    least = sum(zone.low - step for zone, step in zip(zones, steps, strict=True))
    assert abs(least - kib * KIB) <= len(zones) * 2


def test_an_accept_that_ends_with_a_unit_takes_the_next_one_too() -> None:
    memory = UnacceptedMemory([(0, 10 * UNIT)])
    assert memory.accept(2 * UNIT, 4 * UNIT) == [(2 * UNIT, 5 * UNIT)]
    assert memory.accept(7 * UNIT + 1, 7 * UNIT + 2) == [(7 * UNIT, 8 * UNIT)]
    assert memory.accept(9 * UNIT, 10 * UNIT) == [(9 * UNIT, 10 * UNIT)]
    assert memory.size == 5 * UNIT
    assert memory.accept_all() == [(0, 2 * UNIT), (5 * UNIT, 7 * UNIT), (8 * UNIT, 9 * UNIT)]
    assert memory.size == 0


def test_a_block_whose_next_unit_is_unaccepted_is_on_the_list_too() -> None:
    """range_contains_unaccepted_memory() looks at the guard as well."""
    free = [(0, 64 * MIB)]
    assert UnacceptedMemory([(32 * MIB, 40 * MIB)]).blocks(free) == [(28 * MIB, 40 * MIB)]
    assert UnacceptedMemory([(34 * MIB, 36 * MIB)]).blocks(free) == [(32 * MIB, 36 * MIB)]
    assert UnacceptedMemory([(32 * MIB, 40 * MIB)]).blocks([(33 * MIB, 39 * MIB)]) == []


def test_ends_that_are_no_whole_block_are_found() -> None:
    assert pieces_below_a_block([(2 * MIB, 13 * MIB)]) == [(2 * MIB, 4 * MIB), (12 * MIB, 13 * MIB)]
    assert pieces_below_a_block([(5 * MIB, 7 * MIB)]) == [(5 * MIB, 7 * MIB)]
    assert pieces_below_a_block([(4 * MIB, 8 * MIB)]) == []


@given(RANGES, RANGES)
def test_what_is_cut_out_is_gone_and_the_rest_stays(
    ranges: list[tuple[int, int]], holes: list[tuple[int, int]]
) -> None:
    def cells(some: list[tuple[int, int]]) -> set[int]:
        return {cell for start, end in some for cell in range(start, end)}

    assert cells(without(ranges, holes)) == cells(ranges) - cells(holes)


@settings(max_examples=50, deadline=None)
@given(RANGES, st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=6))
def test_every_unit_is_accepted_once(units: list[tuple[int, int]], accepts: list[tuple[int, int]]) -> None:
    memory = UnacceptedMemory([(start * UNIT, end * UNIT) for start, end in units])
    before = memory.size
    taken = [piece for start, size in accepts for piece in memory.accept(start * UNIT, (start + size) * UNIT)]
    assert size_of(taken) == size_of(joined(taken)) == before - memory.size
    assert size_of(memory.accept_all()) == before - size_of(taken)


@settings(max_examples=50, deadline=None)
@given(RANGES, st.integers(0, 400))
def test_blocks_are_taken_from_the_bottom_and_are_free_then(blocks: list[tuple[int, int]], count: int) -> None:
    listed = [(4 * GIB + start * 4 * MIB, 4 * GIB + end * 4 * MIB) for start, end in blocks]
    zone = zones_of([(4 * GIB, 8 * GIB)], listed)[0]
    there, free = zone.block_bytes, zone.free
    taken = zone.take_blocks(count)
    assert size_of(taken) == min(count * 4 * MIB, there) == zone.free - free
    assert joined([*taken, *zone.blocks]) == joined(listed)
    assert not taken or not zone.blocks or taken[-1][1] <= zone.blocks[0][0]
