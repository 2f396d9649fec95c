"""The unaccepted-memory bitmap, bit for bit, against the kernel's arithmetic written out unit by unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.loaders.unaccepted import TABLE_HEADER_SIZE, table_span, unaccepted_table
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import GIB, MIB, PAGE_SIZE, TIB

UNIT = 2 * MIB


def unaccepted(*ranges: tuple[int, int]) -> list[MemoryDescriptor]:
    """Descriptors of type 15 for ``(start, end)`` in bytes, amid others."""
    known = [
        MemoryDescriptor(EfiMemoryType.EfiUnacceptedMemoryType, low, (high - low) // PAGE_SIZE, 0)
        for low, high in ranges
    ]
    return [MemoryDescriptor(EfiMemoryType.EfiConventionalMemory, 0, 256, 0xF), *known]


def naive(ranges: list[tuple[int, int]]) -> tuple[int, int, set[int], set[int]]:
    """(phys_base, bitmap bytes, set bits, pages accepted at once): a page and a unit at a time."""
    base = min(low for low, _ in ranges) // UNIT * UNIT
    end = -(-max(high for _, high in ranges) // UNIT) * UNIT
    size = -(-(end - base) // (UNIT * 8))
    bits: set[int] = set()
    pages: set[int] = set()
    for low, high in ranges:
        if high - low < 2 * UNIT:
            pages |= set(range(low // PAGE_SIZE, high // PAGE_SIZE))
            continue
        while low % UNIT:
            pages.add(low // PAGE_SIZE)
            low += PAGE_SIZE
        while high % UNIT:
            high -= PAGE_SIZE
            pages.add(high // PAGE_SIZE)
        bits |= set(range((low - base) // UNIT, (high - base) // UNIT))
    return base, size, bits, pages


def pages_range(*edges: int) -> tuple[tuple[int, int], ...]:
    """Ranges from pairs of page numbers."""
    return tuple((low * PAGE_SIZE, high * PAGE_SIZE) for low, high in zip(edges[::2], edges[1::2], strict=True))


@pytest.mark.parametrize(
    "ranges",
    [
        pages_range(0x20000, 0x80000),  # aligned: 512 MiB to 2 GiB
        pages_range(0x20001, 0x7FFFF),  # unaligned at both ends
        pages_range(0x20000, 0x20001),  # one page
        pages_range(0x20001, 0x20400),  # one page below two units
        pages_range(0x20001, 0x20401),  # two units, but only one of them whole
        pages_range(0x20000, 0x30000, 0x30000, 0x40000),  # adjacent
        pages_range(0x20000, 0x30100, 0x30100, 0x40000),  # adjacent amid a unit
        pages_range(0x20000, 0x20800, 0x4000000, 0x4000800),  # distant
        pages_range(0x7FFFFFF, 0x8000801),  # across a boundary
    ],
)
def test_special_ranges_give_the_bitmap_of_the_reference(ranges: tuple[tuple[int, int], ...]) -> None:
    assert_like_naive(list(ranges))


@given(
    st.lists(
        st.tuples(st.integers(0, 3000), st.integers(1, 3000) | st.sampled_from([511, 512, 1023, 1024, 1025])),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 1 << 24),
)
def test_any_ranges_give_the_bitmap_of_the_reference(gaps: list[tuple[int, int]], first: int) -> None:
    ranges, at = [], first
    for gap, length in gaps:
        at += gap
        ranges.append((at * PAGE_SIZE, (at + length) * PAGE_SIZE))
        at += length
    assert_like_naive(ranges)


def assert_like_naive(ranges: list[tuple[int, int]]) -> None:
    base, size, bits, pages = naive(ranges)
    table = unaccepted_table(unaccepted(*ranges))
    assert table is not None
    assert (table.phys_base, table.size) == (base, size)
    bitmap = table.bitmap()
    assert len(bitmap) == size
    assert {bit for bit in range(size * 8) if bitmap[bit // 8] >> bit % 8 & 1} == bits
    assert table.units == len(bits)
    accepted = {page for low, high in table.accepted_now for page in range(low // PAGE_SIZE, high // PAGE_SIZE)}
    assert accepted == pages
    everything = len(bits) * (UNIT // PAGE_SIZE) + len(pages)
    assert everything == sum(high - low for low, high in ranges) // PAGE_SIZE


def test_64_gib_take_a_bitmap_of_4096_bytes() -> None:
    table = unaccepted_table(unaccepted((4 * GIB, 68 * GIB)))
    assert table is not None
    assert (table.size, table.table_size) == (4096, TABLE_HEADER_SIZE + 4096)


def test_a_lone_far_range_costs_by_its_distance() -> None:
    assert table_span(unaccepted((4 * GIB, 5 * GIB), (TIB, TIB + UNIT))) == (4 * GIB, 65536 - 256 + 1)


def test_nothing_unaccepted_gives_no_table() -> None:
    assert table_span(unaccepted()) is None
    assert unaccepted_table(unaccepted()) is None


def test_the_bitmap_of_64_tib_is_made_without_a_loop_over_units() -> None:
    table = unaccepted_table(unaccepted((4 * GIB, 64 * TIB)))
    assert table is not None
    assert table.runs == ((0, (64 * TIB - 4 * GIB) // UNIT),)
