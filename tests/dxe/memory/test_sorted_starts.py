"""Chunked lists and the map that stands on them, with chunks so small that every edge is met."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.memory.bins import Bins, stack_bins
from tdvfsh.dxe.memory.get_memory_map import build_memory_map
from tdvfsh.dxe.memory.memory_map import MapEntry, MemoryMap
from tdvfsh.dxe.memory.sorted_starts import FreeStarts, SortedStarts
from tdvfsh.dxe.profile import TRIXIE, UPSTREAM, FirmwareProfile
from tdvfsh.uefi.memory import EFI_MEMORY_SP, EFI_MEMORY_XP, EfiGcdMemoryType
from tests.dxe.machines import (
    ADDRESS,
    ANY,
    BS_DATA,
    CONVENTIONAL,
    LOADER_DATA,
    MAX,
    RAM,
    RT_DATA,
    WB,
    page,
    plain_machine,
)

NUMBERS = st.lists(st.integers(0, 60), max_size=80)


@pytest.fixture(autouse=True, scope="module")
def tiny_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SortedStarts, "limit", 4)
        patch.setattr(FreeStarts, "limit", 3)
        patch.setattr(FreeStarts, "group_shift", 1)
        yield


def check(starts: SortedStarts, plain: list[int]) -> None:
    assert list(starts) == plain
    assert len(starts) == len(plain)
    assert all(starts.chunks) or len(starts.chunks) == 1
    assert starts.floors == sorted(starts.floors)
    assert starts.floors[0] == 0
    for floor, chunk, after in zip(starts.floors, starts.chunks, [*starts.floors[1:], 1 << 64], strict=True):
        assert all(floor <= item < after for item in chunk)
        assert len(chunk) <= starts.limit


@given(NUMBERS, NUMBERS)
def test_chunks_hold_what_a_plain_sorted_list_holds(first: list[int], changes: list[int]) -> None:
    plain = sorted(set(first))
    starts = SortedStarts(plain)
    check(starts, plain)
    for number in changes:
        if number in plain:
            plain.remove(number)
            starts.remove(number)
        else:
            plain.insert(bisect_left(plain, number), number)
            starts.add(number)
        check(starts, plain)
        for asked in (0, number - 1, number, number + 1, 61):
            below, above = bisect_right(plain, asked), bisect_left(plain, asked)
            assert starts.at_or_below(asked) == (plain[below - 1] if below else None)
            assert list(starts.between(asked, asked + 9)) == plain[above : bisect_left(plain, asked + 9)]
    assert list(starts.copy()) == plain


def test_a_copy_shares_nothing_with_its_original() -> None:
    starts = FreeStarts(range(20))
    twin = starts.copy()
    twin.remove(5)
    twin.grow(0, 7)
    check(starts, list(range(20)))
    assert 5 not in twin


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=60), st.integers(1, 9))
def test_a_search_passes_over_no_chunk_whose_range_would_do(ranges: list[tuple[int, int]], wanted: int) -> None:
    starts, sizes = FreeStarts(), dict[int, int]()
    for start, size in ranges:
        if start not in sizes:
            starts.add_range(start, size)
            sizes[start] = size
        elif size > sizes[start]:
            starts.grow(start, size)
            sizes[start] = size
        else:
            starts.remove(start)
            del sizes[start]
        fit = [which for which, chunk in enumerate(starts.chunks) if any(sizes[one] >= wanted for one in chunk)]
        for lowest in (0, 2):
            at = len(starts.chunks)
            passed = set(range(lowest, at))
            while (at := starts.last_that_may_hold(wanted, lowest, at)) >= lowest:
                passed.discard(at)
                if at not in fit and len(starts.chunks) > 1:  # as a search does that found nothing there
                    starts.largest[at] = max(sizes[one] for one in starts.chunks[at])
            assert not passed & set(fit)


CALLS = st.lists(
    st.tuples(
        st.integers(1, 63),
        st.integers(1, 6),
        st.sampled_from((CONVENTIONAL, LOADER_DATA, BS_DATA)),
        st.sampled_from((0, 20, 40)),
        st.sampled_from((64, 45, 21)),
        st.sampled_from((1, 2, 4)),
    ),
    max_size=60,
)


@given(CALLS)
def test_free_pages_are_found_where_a_walk_over_all_descriptors_finds_them(
    calls: list[tuple[int, int, int, int, int, int]],
) -> None:
    special = MapEntry(page(64), page(70), CONVENTIONAL, WB | EFI_MEMORY_SP)
    memory_map = MemoryMap([MapEntry(0, page(64), CONVENTIONAL, WB), special])
    for start, pages, new_type, low, high, alignment in calls:
        memory_map.convert_pages(page(start), pages, new_type)
        assert list(memory_map) == sorted(memory_map)
        entries = list(memory_map)
        assert list(memory_map.free_ranges()) == [entry[:2] for entry in entries if entry.memory_type == CONVENTIONAL]
        expected = 0
        for entry in entries:
            top = min(entry.end, page(high)) // page(alignment) * page(alignment)
            usable = entry.memory_type == CONVENTIONAL and not entry.attribute & EFI_MEMORY_SP
            if usable and top - max(entry.start, page(low)) >= page(pages):
                expected = top - page(pages)
        assert memory_map.find_free_pages(page(high) - 1, page(low), pages, page(alignment)) == expected
        twin = memory_map.copy()
        assert twin == memory_map
        twin.convert_pages(page(1), 1, LOADER_DATA if twin.type_at(page(1)) == CONVENTIONAL else CONVENTIONAL)
        assert twin != memory_map


@pytest.mark.parametrize("seed", range(20))
def test_neighbours_alike_are_joined_though_they_stand_in_different_chunks(seed: int) -> None:
    random = Random(seed)
    memory_map = MemoryMap([MapEntry(0, page(64), CONVENTIONAL, WB)])
    for _ in range(60):
        new_type = random.choice((CONVENTIONAL, CONVENTIONAL, LOADER_DATA, BS_DATA))
        memory_map.convert_pages(page(random.randrange(1, 63)), random.randrange(1, 7), new_type)
        assert not any(low[1:] == (high.start, *high[2:]) for low, high in pairwise(memory_map))


@given(
    profile=st.sampled_from((UPSTREAM, TRIXIE)),
    calls=st.lists(
        st.tuples(
            st.sampled_from(("any", "max", "address", "free", "unaccept", "read")),
            st.integers(1, 40),
            st.integers(1, 5),
            st.sampled_from((LOADER_DATA, BS_DATA, RT_DATA)),
        ),
        max_size=50,
    ),
)
def test_a_map_read_again_is_the_map_put_together_as_a_whole(
    profile: FirmwareProfile, calls: list[tuple[str, int, int, int]]
) -> None:
    services = _machine(profile)
    core = services.core
    for what, start, pages, memory_type in calls:
        if what == "unaccept":
            core.gcd.add_memory_space(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted, page(start) + RAM, page(pages), WB)
        elif what == "free":
            services.free_pages(page(start), pages)
        elif what != "read":
            kind = {"any": ANY, "max": MAX, "address": ADDRESS}[what]
            services.allocate_pages(kind, memory_type, pages, page(start))
        if what in ("read", "unaccept", "free"):
            expected = build_memory_map(core.memory_map, core.bins, core.gcd, profile)
            assert services.memory_map_view() == expected
            assert core.copy().read_memory_map() == expected


def _machine(profile: FirmwareProfile) -> BootServices:
    entries = [
        MapEntry(page(1), page(20), CONVENTIONAL, WB),
        MapEntry(page(20), page(24), BS_DATA, WB),
        MapEntry(page(24), page(30), BS_DATA, WB | EFI_MEMORY_XP),
        MapEntry(page(30), page(60), CONVENTIONAL, WB),
    ]
    return plain_machine(profile, entries, stack_bins(page(36), [(RT_DATA, 6)]))


def test_two_readers_of_one_map_see_all_of_its_changes() -> None:
    services = plain_machine()
    core = services.core
    other = core.copy()
    other.memory_map = core.memory_map
    for _ in range(3):
        services.allocate_pages(ANY, LOADER_DATA, 1, 0)
        expected = build_memory_map(core.memory_map, Bins(), core.gcd, UPSTREAM)
        assert core.read_memory_map() == expected
        services.allocate_pages(ADDRESS, BS_DATA, 1, page(8))
        assert other.read_memory_map() == build_memory_map(core.memory_map, Bins(), core.gcd, UPSTREAM)
        services.free_pages(page(8), 1)
