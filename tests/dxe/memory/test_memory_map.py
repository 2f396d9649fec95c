from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.memory.descriptor_pages import DescriptorPages
from tdvfsh.dxe.memory.memory_map import MapEntry, MemoryMap
from tdvfsh.uefi.memory import EFI_MEMORY_SP
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import PAGE_SIZE
from tests.dxe.machines import BS_DATA, CONVENTIONAL, LOADER_DATA, WB, page

INVALID, NOT_FOUND, SUCCESS = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_NOT_FOUND, EfiStatus.EFI_SUCCESS


def free_map(pages: int = 16) -> MemoryMap:
    return MemoryMap([MapEntry(0, page(pages), CONVENTIONAL, WB)])


def test_a_range_taken_from_the_middle_leaves_a_head_and_a_tail() -> None:
    memory_map = free_map()
    assert memory_map.convert_pages(page(4), 2, LOADER_DATA) is SUCCESS
    assert [entry[:3] for entry in memory_map] == [
        (0, page(4), CONVENTIONAL),
        (page(4), page(6), LOADER_DATA),
        (page(6), page(16), CONVENTIONAL),
    ]


def test_a_fully_used_range_leaves_no_descriptor_of_its_own() -> None:
    memory_map = free_map()
    assert memory_map.convert_pages(0, 16, LOADER_DATA) is SUCCESS
    assert [entry[:3] for entry in memory_map] == [(0, page(16), LOADER_DATA)]
    assert list(memory_map.free_ranges()) == []


def test_equal_neighbours_join_when_one_is_added_and_when_one_is_freed() -> None:
    memory_map = free_map()
    for start in (4, 6, 5):
        memory_map.convert_pages(page(start), 1, LOADER_DATA)
    assert len(memory_map) == 3
    memory_map.convert_pages(page(4), 3, CONVENTIONAL)
    assert [entry[:3] for entry in memory_map] == [(0, page(16), CONVENTIONAL)]


def test_neighbours_that_differ_in_attributes_stay_apart() -> None:
    memory_map = MemoryMap([MapEntry(0, page(4), CONVENTIONAL, WB), MapEntry(page(4), page(8), CONVENTIONAL, 0x80000)])
    assert len(memory_map) == 2
    assert memory_map.convert_pages(page(3), 2, LOADER_DATA) is NOT_FOUND


def test_the_key_rises_by_one_for_every_range_that_is_added() -> None:
    memory_map = free_map()
    key = memory_map.key
    memory_map.convert_pages(page(4), 4, LOADER_DATA)
    memory_map.convert_pages(page(8), 4, BS_DATA)
    assert memory_map.key == key + 2
    memory_map.convert_pages(page(4), 8, CONVENTIONAL)
    assert memory_map.key == key + 4


def test_a_refused_conversion_leaves_map_and_key_alone() -> None:
    memory_map = free_map()
    before = list(memory_map), memory_map.key
    for start, pages in ((page(15), 2), (page(16), 1), (page(1) + 1, 1), (page(1), 0), ((1 << 64) - PAGE_SIZE, 2)):
        assert memory_map.convert_pages(start, pages, LOADER_DATA) in (NOT_FOUND, INVALID)
    assert (list(memory_map), memory_map.key) == before


def test_the_last_page_of_the_address_space_is_not_found_rather_than_forgotten() -> None:
    assert free_map().convert_pages((1 << 64) - PAGE_SIZE, 1, LOADER_DATA) is NOT_FOUND


def test_freeing_stops_at_the_first_free_page_and_what_was_freed_stays_free() -> None:
    memory_map = free_map()
    memory_map.convert_pages(page(4), 3, LOADER_DATA)
    memory_map.convert_pages(page(8), 3, LOADER_DATA)
    assert memory_map.convert_pages(page(4), 7, CONVENTIONAL) is NOT_FOUND
    assert memory_map.type_at(page(4)) == CONVENTIONAL
    assert memory_map.type_at(page(8)) == LOADER_DATA


def test_freeing_runs_across_descriptors_of_different_types() -> None:
    memory_map = free_map()
    memory_map.convert_pages(page(4), 2, LOADER_DATA)
    memory_map.convert_pages(page(6), 2, BS_DATA)
    assert memory_map.convert_pages(page(5), 2, CONVENTIONAL) is SUCCESS
    assert [memory_map.type_at(page(number)) for number in (4, 5, 6, 7)] == [
        LOADER_DATA, CONVENTIONAL, CONVENTIONAL, BS_DATA,
    ]  # fmt: skip


def test_a_page_count_whose_bytes_wrap_counts_as_what_is_left_of_it() -> None:
    memory_map = free_map()
    assert memory_map.convert_pages(page(4), (1 << 52) + 1, LOADER_DATA) is SUCCESS
    assert memory_map.convert_pages(page(8), 1 << 52, LOADER_DATA) is INVALID


def test_free_pages_are_found_at_the_top_of_the_highest_range_that_fits() -> None:
    memory_map = free_map(32)
    memory_map.convert_pages(page(24), 4, LOADER_DATA)
    assert memory_map.find_free_pages((1 << 64) - 1, 0, 4) == page(28)
    assert memory_map.find_free_pages((1 << 64) - 1, 0, 5) == page(19)


def test_a_limit_inside_a_page_loses_that_page_and_one_at_its_end_does_not() -> None:
    memory_map = free_map()
    assert memory_map.find_free_pages(page(8) - 1, 0, 1) == page(7)
    assert memory_map.find_free_pages(page(8), 0, 1) == page(7)
    assert memory_map.find_free_pages(page(8) - 2, 0, 1) == page(6)


def test_page_zero_is_never_found() -> None:
    assert free_map(1).find_free_pages((1 << 64) - 1, 0, 1) == 0
    assert free_map(4).find_free_pages((1 << 64) - 1, 0, 4) == 0


def test_specific_purpose_memory_is_passed_over() -> None:
    memory_map = MemoryMap(
        [MapEntry(0, page(4), CONVENTIONAL, WB), MapEntry(page(4), page(8), CONVENTIONAL, WB | EFI_MEMORY_SP)]
    )
    assert memory_map.find_free_pages((1 << 64) - 1, 0, 1) == page(3)


def test_an_alignment_lowers_the_address() -> None:
    assert free_map(15).find_free_pages((1 << 64) - 1, 0, 1, page(4)) == page(11)


class _OneStepAtATime(MemoryMap):
    """The same map by the general way only: cut, add, settle."""

    __slots__ = ()

    def _convert_piece(self, which: int, index: int, start: int, end: int, new_type: int) -> None:
        entry = self.find(start)
        assert entry is not None
        self._cut(entry, start, end)
        self.add_range(new_type, start, end, entry.attribute)
        self.descriptor_pages.settle(self.take_descriptor_page)


@given(
    spare=st.integers(0, 6),
    calls=st.lists(
        st.tuples(st.integers(0, 31), st.integers(1, 6), st.sampled_from((CONVENTIONAL, LOADER_DATA, BS_DATA)))
    ),
)
def test_the_quick_way_and_the_general_way_draw_the_same_descriptors(
    spare: int, calls: list[tuple[int, int, int]]
) -> None:
    maps = [kind([MapEntry(0, page(32), CONVENTIONAL, WB)]) for kind in (MemoryMap, _OneStepAtATime)]
    for memory_map in maps:
        memory_map.descriptor_pages = DescriptorPages(spare, per_page=5)

        def take(memory_map: MemoryMap = memory_map) -> None:
            start = memory_map.find_free_pages((1 << 64) - 1, 0, 1)
            memory_map.convert_pages(start, 1, BS_DATA)

        memory_map.take_descriptor_page = take
    for start, pages, new_type in calls:
        statuses = {memory_map.convert_pages(page(start), pages, new_type) for memory_map in maps}
        assert len(statuses) == 1
        quick, general = maps
        assert list(quick) == list(general)
        assert (quick.key, quick.descriptor_pages.spare) == (general.key, general.descriptor_pages.spare)
        assert list(quick.free_ranges()) == [(entry.start, entry.end) for entry in quick if entry.memory_type == 7]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 5),
            st.integers(0, 2),
            st.sampled_from([BS_DATA, CONVENTIONAL, LOADER_DATA]),
            st.sampled_from([0, WB]),
        ),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_a_map_that_begins_with_ranges_is_as_if_each_had_been_added(
    ranges: list[tuple[int, int, int, int]], order: Random
) -> None:
    entries, at = [], 0
    for pages, gap, memory_type, attribute in ranges:
        start = at + gap
        at = start + pages
        entries.append(MapEntry(page(start), page(at), memory_type, attribute))
    order.shuffle(entries)
    added = MemoryMap()
    for entry in entries:
        added.add_range(entry.memory_type, entry.start, entry.end, entry.attribute)
    begun = MemoryMap(entries)
    assert begun == added
    assert list(begun) == list(added)
    assert list(begun.free_ranges()) == list(added.free_ranges())


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(1, 6), st.sampled_from((LOADER_DATA, BS_DATA)))),
    st.integers(0, 6),
)
def test_what_was_found_free_is_allocated_as_any_range_is(steps: list[tuple[bool, int, int, int]], spare: int) -> None:
    entries = [MapEntry(page(start), page(start + 7), CONVENTIONAL, WB) for start in range(1, 41, 8)]
    found, checked = MemoryMap(entries), MemoryMap(entries)
    for memory_map in (found, checked):
        memory_map.descriptor_pages = DescriptorPages(spare, per_page=5)
        memory_map.changes = [1 << 64, 0]
    for frees, at, pages, new_type in steps:
        start = page(at) if frees else found.find_free_pages((1 << 64) - 1, 0, pages)
        if frees:
            for memory_map in (found, checked):
                memory_map.convert_pages(start, pages, CONVENTIONAL)
        elif start:
            found.convert_free(start, pages, new_type)
            assert checked.convert_pages(start, pages, new_type) is SUCCESS
        assert found == checked
        assert list(found) == list(checked)
        assert list(found.free_ranges()) == list(checked.free_ranges())
        assert found.changes == checked.changes
