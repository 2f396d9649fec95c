"""What memblock allocates: sizes as the console of Linux 6.12 names them, places as its accepts show them."""

from __future__ import annotations

import pytest

from tdvfsh.linux.os_memblock import (
    Memblock,
    bounce_buffer_size,
    early_allocations,
    hash_table_size,
    section_roots_size,
    sections,
)
from tdvfsh.units import GIB, KIB, MIB

PAGE = 4 * KIB
CLOUD = section_roots_size(page_extensions=False, five_levels=True)


def _spans(memory: int) -> list[tuple[int, int]]:
    low = min(memory, 2 * GIB)
    return [(0, low)] + ([(4 * GIB, 4 * GIB + memory - low)] if memory > low else [])


@pytest.mark.parametrize(
    ("memory", "size"),
    [(GIB, 64), (2 * GIB, 128), (9 * GIB // 4, 256), (4 * GIB, 256), (8 * GIB, 512), (66 * GIB, 1024)],
)
def test_bounce_buffers_are_6_percent_and_then_a_power_of_two(memory: int, size: int) -> None:
    assert bounce_buffer_size(memory, 1) == size * MIB


def test_many_processors_need_more_bounce_buffers() -> None:
    assert bounce_buffer_size(GIB, 256) == 64 * MIB
    assert bounce_buffer_size(GIB, 300) == 128 * MIB


@pytest.mark.parametrize(
    ("memory", "dentry", "inode"),
    [(GIB, MIB, MIB // 2), (2 * GIB, 2 * MIB, MIB), (3 * GIB, 4 * MIB, 2 * MIB), (8 * GIB, 8 * MIB, 4 * MIB)],
)
def test_hash_tables_have_the_sizes_that_the_console_names(memory: int, dentry: int, inode: int) -> None:
    free = memory * 63 // 64 - 64 * MIB
    assert [hash_table_size(free, memory, scale) for scale in (13, 14)] == [dentry, inode]


def test_from_64_gib_on_hash_tables_grow_half_as_fast() -> None:
    assert hash_table_size(64 * GIB, 65 * GIB, 13) == 64 * MIB
    assert hash_table_size(256 * GIB, 258 * GIB, 13) == 128 * MIB


def test_a_hash_table_takes_no_more_than_a_sixteenth_of_memory() -> None:
    assert hash_table_size(GIB, 8 * MIB, 13) == 512 * KIB


def test_sections_that_two_ranges_share_count_once() -> None:
    assert sections([(0, 2 * GIB), (4 * GIB, 6 * GIB)], 128 * MIB) == 32
    assert sections([(0, MIB), (2 * MIB, 3 * MIB), (128 * MIB, 129 * MIB)], 128 * MIB) == 2


def test_the_highest_place_that_fits_is_given_out() -> None:
    memblock = Memblock([(0, 2 * GIB), (4 * GIB, 4 * GIB + 3 * MIB)])
    assert memblock.allocate(2 * MIB, 2 * MIB) == (4 * GIB, 4 * GIB + 2 * MIB)
    assert memblock.allocate(MIB, PAGE) == (4 * GIB + 2 * MIB, 4 * GIB + 3 * MIB)
    assert memblock.allocate(MIB, PAGE) == (2 * GIB - MIB, 2 * GIB)
    assert memblock.allocate(MIB, PAGE, GIB) == (GIB - MIB, GIB)
    assert memblock.allocate(2 * GIB) is None
    assert memblock.free == [(0, GIB - MIB), (GIB, 2 * GIB - MIB)]


def test_what_is_given_back_joins_its_neighbours() -> None:
    memblock = Memblock([(0, MIB)])
    place = memblock.allocate(PAGE, PAGE)
    assert place is not None
    memblock.release(*place)
    assert memblock.free == [(0, MIB)]


def test_many_pieces_go_on_in_the_next_lower_range() -> None:
    memblock = Memblock([(0, 8 * MIB), (16 * MIB, 21 * MIB)])
    assert memblock.allocate_many(4, 2 * MIB) == [(16 * MIB, 20 * MIB), (4 * MIB, 8 * MIB)]
    assert memblock.free == [(0, 4 * MIB), (20 * MIB, 21 * MIB)]


def test_the_places_are_those_of_linux_6_12_with_8_gib() -> None:
    """Accepts of the real kernel: struct pages, per-CPU areas, dentries, inodes, bounce buffers, their slots."""
    spans = _spans(8 * GIB)
    early = early_allocations(Memblock(list(spans)), spans, 1, CLOUD)
    assert early.taken[3:] == [
        (0x277E00000, 0x27FE00000),
        (0x277C00000, 0x277E00000),
        (0x277400000, 0x277C00000),
        (0x277000000, 0x277400000),
        (0x60000000, 0x80000000),
        (0x276A00000, 0x277000000),
    ]
    assert (early.struct_pages, early.bounce_buffers, early.hash_tables) == (128 * MIB, 512 * MIB, 12 * MIB)


def test_with_2_gib_the_places_are_those_that_the_kernel_s_own_debugging_tells() -> None:
    """6.12.117, memblock=debug: NODE_DATA, section roots, then inodes in what the per-CPU area gave back."""
    spans = _spans(2 * GIB)
    places = early_allocations(Memblock(list(spans)), spans, 1, CLOUD).taken
    assert places[1:3] == [(0x7FFD4680, 0x7FFFF000), (0x7FED4680, 0x7FFD4680)]
    assert places[4:] == [
        (0x7DC00000, 0x7DE00000),
        (0x7DA00000, 0x7DC00000),
        (0x7DD00000, 0x7DE00000),
        (0x75A00000, 0x7DA00000),
        (0x75880000, 0x75A00000),
    ]


def test_with_four_levels_of_paging_inodes_lie_above_the_struct_pages_and_slots_where_they_lay() -> None:
    spans = _spans(2 * GIB)
    places = early_allocations(Memblock(list(spans)), spans, 1, section_roots_size(False, five_levels=False)).taken
    assert 0x7FE00000 < places[6][0] < places[6][1] <= 0x80000000
    assert 0x7DC00000 < places[8][0] < places[8][1] <= 0x7DE00000
    assert places[7] == (0x75A00000, 0x7DA00000)


@pytest.mark.parametrize(
    ("page_extensions", "five_levels", "size"),
    [(False, True, MIB), (True, True, 2 * MIB), (False, False, 16 * KIB), (True, False, 32 * KIB)],
)
def test_section_roots_grow_with_addresses_and_with_what_is_kept_of_a_section(
    page_extensions: bool, five_levels: bool, size: int
) -> None:
    assert section_roots_size(page_extensions, five_levels) == size


@pytest.mark.parametrize(("vcpus", "chunk"), [(1, 2), (2, 2), (3, 2), (4, 2), (5, 6), (32, 16)])
def test_processors_share_pieces_of_2_mib(vcpus: int, chunk: int) -> None:
    spans = _spans(8 * GIB)
    start, end = early_allocations(Memblock(list(spans)), spans, vcpus, CLOUD).taken[4]
    assert end - start == chunk * MIB


def test_bounce_buffers_become_smaller_where_low_memory_has_no_room() -> None:
    spans = [(0, 300 * MIB), (4 * GIB, 12 * GIB)]
    assert early_allocations(Memblock(list(spans)), spans, 1, CLOUD).bounce_buffers == 256 * MIB
    assert early_allocations(Memblock(spans[1:]), spans, 1, CLOUD).bounce_buffers == 0
