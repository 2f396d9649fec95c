"""Sizes as users write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.errors import UsageError
from tdvfsh.units import (
    GIB,
    KIB,
    MIB,
    TIB,
    align_down,
    align_up,
    format_size,
    human_size,
    pages_for,
    parse_size,
    ram_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("512M", 512 * MIB),
        ("4g", 4 * GIB),
        ("64T", 64 * TIB),
        ("1.5G", 3 * GIB // 2),
        ("0x80000000", 2 * GIB),
        ("16K", 16 * KIB),
        ("10MiB", 10 * MIB),
        (" 1G ", GIB),
    ],
)
def test_sizes_are_read_as_written(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1X", "1.1.1G", "0xZZ", "1e3", "0.0001K", "¹²"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@given(st.integers(0, 1 << 50))
def test_the_short_form_reads_back_exactly(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_sizes_for_people_are_rounded_only_where_they_must_be() -> None:
    assert [human_size(size) for size in (0, 4096, 40_723_557, 2 * GIB, 1537 * MIB)] == [
        "0 B",
        "4 KiB",
        "38.84 MiB",
        "2 GiB",
        "1.50 GiB",
    ]


@given(st.integers(0, 1 << 60), st.integers(1, 1 << 30))
def test_alignment_brackets_a_value(value: int, alignment: int) -> None:
    low, high = align_down(value, alignment), align_up(value, alignment)
    assert low <= value <= high
    assert low % alignment == high % alignment == 0
    assert high - low in (0, alignment)


def test_a_byte_takes_a_page() -> None:
    assert [pages_for(size) for size in (0, 1, 4096, 4097)] == [0, 1, 1, 2]


@pytest.mark.parametrize("text", ["9" * 5000, "0x" + "f" * 5000, "1\n2", "\x1b[2J", "1." + "0" * 5000])
def test_what_is_no_size_is_refused_in_one_short_line_that_a_terminal_can_show(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_size(text)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (2816 << 20, "2.75 GiB"),
        (2815 << 20, "2815 MiB"),
        (4 << 30, "4 GiB"),
        (67000 << 20, "67000 MiB"),
        (128 << 20, "128 MiB"),
        (536477696, "511.62 MiB"),
        (64 << 40, "64 TiB"),
    ],
)
def test_sizes_of_ram_that_differ_are_printed_differently(size: int, text: str) -> None:
    assert ram_size(size) == text
