"""Paging by 4 and 5 levels, beside a walk that is written table by table from Intel SDM volume 3, 4.5."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.x86.page_walk import Mapping, walk

TABLES = 8
SIZE = TABLES * 0x1000
PRESENT, LARGE, NO_EXECUTE = 1, 1 << 7, 1 << 63
SHARED = 1 << 47
CR3 = 0x1000
LA57 = 1 << 12  # of CR4
TOP, GIGABYTES, LARGE_PAGES, PAGES = 0x1000, 0x2000, 0x3000, 0x4000


def ram(entries: dict[int, int]) -> memoryview:
    data = bytearray(SIZE)
    for address, value in entries.items():
        struct.pack_into("<Q", data, address, value)
    return memoryview(data)


def naive(view: memoryview, cr3: int, linear: int, shared: int, levels: int) -> tuple[int, int] | None:
    """Physical address and page size, a table at a time; bits are picked from a string of them."""
    bits = f"{linear:064b}"
    if len(set(bits[: 8 if levels == 5 else 17])) != 1:
        return None
    indices = [int(bits[start : start + 9], 2) for start in (7, 16, 25, 34, 43)[5 - levels :]]
    table = int(f"{cr3:064b}"[12:52], 2) * 4096
    for level, index in enumerate(indices, 5 - levels):
        at = (table & ~shared) + 8 * index
        if at + 8 > len(view):
            return None
        entry = f"{int.from_bytes(view[at : at + 8], 'little'):064b}"
        if entry[-1] == "0":
            return None
        frame = int(entry[12:52], 2) * 4096
        is_large = entry[-8] == "1"
        if level < 2 and is_large:
            return None
        if level == 4 or is_large:
            offset_bits = (48, 39, 30, 21, 12)[level]
            offset = int(bits[64 - offset_bits :], 2)
            return (frame >> offset_bits << offset_bits) + offset, 1 << offset_bits
        table = frame
    return None


ENTRIES = st.builds(
    lambda frame, flags, high: frame * 4096 | flags | high,
    st.one_of(st.integers(0, TABLES), st.integers(0, (1 << 40) - 1)),
    st.sampled_from([0, 1, 3, 0x63, 0x81, 0xE3, 0x80, 0x1E7]),
    st.sampled_from([0, SHARED, NO_EXECUTE, NO_EXECUTE | SHARED]),
)
INDEX = st.integers(0, 3)


@given(
    st.dictionaries(st.builds(lambda table, index: table * 4096 + index * 8, st.integers(0, 7), INDEX), ENTRIES,
                    min_size=12),
    st.tuples(INDEX, INDEX, INDEX, INDEX, st.integers(0, 4095)),
    st.sampled_from([0, SHARED]), st.sampled_from([0, 0xFFF, SHARED]), st.sampled_from([4, 5]), INDEX,
)  # fmt: skip
def test_it_finds_what_a_naive_walk_finds(
    entries: dict[int, int],
    parts: tuple[int, int, int, int, int],
    shared: int,
    low: int,
    levels: int,
    zeroth: int,
) -> None:
    first, second, third, fourth, offset = parts
    linear = (zeroth << 48 if levels == 5 else 0) | first << 39 | second << 30 | third << 21 | fourth << 12 | offset
    view = ram(entries)
    found = walk(view, CR3 | low, linear, shared, LA57 if levels == 5 else 0)
    expected = naive(view, CR3 | low, linear, shared, levels)
    assert (found and (found.physical, found.size)) == expected


@given(st.integers(0, (1 << 64) - 1))
def test_an_address_whose_upper_bits_differ_is_none(linear: int) -> None:
    view = memoryview(bytearray(struct.pack("<Q", PRESENT) * 512))  # every table is this one
    assert (walk(view, 0, linear) is not None) is (linear >> 47 in (0, 0x1FFFF))
    assert (walk(view, 0, linear, cr4=LA57) is not None) is (linear >> 56 in (0, 0xFF))


def test_a_page_of_4_kib_is_found_with_the_place_of_its_entry() -> None:
    value = NO_EXECUTE | 0x12345000 | 0x63
    linear = 0xFFFF8000_00000000 | 1 << 30 | 2 << 21 | 3 << 12 | 0x678
    entries = {TOP + 256 * 8: GIGABYTES | 3, GIGABYTES + 8: LARGE_PAGES | 3, LARGE_PAGES + 16: PAGES | 3}
    view = ram(entries | {PAGES + 24: value})
    assert walk(view, CR3, linear) == Mapping(0x12345678, PAGES + 24, value, 4096)


def test_pages_of_2_mib_and_1_gib_end_the_walk_early_and_their_attribute_bit_is_no_address() -> None:
    attribute = 1 << 12
    entries = {
        TOP: GIGABYTES | 3, GIGABYTES: LARGE_PAGES | 3, LARGE_PAGES + 8: 0x40000000 | attribute | LARGE | 3,
        GIGABYTES + 8: 0x1_80000000 | attribute | LARGE | 3,
    }  # fmt: skip
    found = walk(ram(entries), CR3, 0x212345)
    assert found is not None
    assert (found.physical, found.size) == (0x40012345, 1 << 21)
    found = walk(ram(entries), CR3, 0x4000_0000 + 0x2345678)
    assert found is not None
    assert (found.physical, found.size) == (0x1_80000000 + 0x2345678, 1 << 30)


def test_the_shared_bit_stays_in_the_result_and_is_no_address_of_a_table() -> None:
    entries = {
        TOP: SHARED | GIGABYTES | 3, GIGABYTES: LARGE_PAGES | 3, LARGE_PAGES: PAGES | 3, PAGES: SHARED | 0x7000 | 3,
    }  # fmt: skip
    found = walk(ram(entries), CR3, 0x10, SHARED)
    assert found is not None
    assert found.physical == SHARED | 0x7010
    assert walk(ram(entries), CR3, 0x10) is None


@pytest.mark.parametrize("missing", [TOP, GIGABYTES, LARGE_PAGES, PAGES])
def test_an_entry_that_is_not_present_at_any_level_is_the_end(missing: int) -> None:
    entries = {TOP: GIGABYTES | 3, GIGABYTES: LARGE_PAGES | 3, LARGE_PAGES: PAGES | 3, PAGES: 0x7003}
    assert walk(ram(entries), CR3, 0) is not None
    assert walk(ram(entries | {missing: entries[missing] & ~PRESENT}), CR3, 0) is None


def test_a_table_beyond_ram_is_no_table() -> None:
    assert walk(ram({TOP: SIZE | 3}), CR3, 0) is None
    assert walk(ram({}), SIZE, 0) is None
