"""How much firmware accepts before DXE, and how users write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.errors import UsageError
from tdvfsh.td.hob import td_hob_entries
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.sec import EVERYTHING
from tdvfsh.units import GIB, MIB, PAGE_SIZE

SIX_GIB = td_hob_entries(RamLayout.q35(6 * GIB))


@pytest.mark.parametrize(
    ("text", "images", "end"),
    [
        ("eager", 0, EVERYTHING),
        ("below-4g", 0, 4 * GIB),
        ("512M", 0, 512 * MIB),
        ("0x20000000", 0, 512 * MIB),
        ("2G", 0, 2 * GIB),
        ("3G", 0, 5 * GIB),  # 2 GiB low, the third one begins at 4 GiB
        ("6G", 0, 8 * GIB),
        ("64G", 0, EVERYTHING),
        ("512M", 100 * MIB, 512 * MIB),  # a plain size does not count the images
        ("presize", 100 * MIB, 612 * MIB),
        ("presize:1G", 100 * MIB, 1124 * MIB),
        ("presize", 1, 512 * MIB + PAGE_SIZE),
    ],
)
def test_the_first_byte_that_stays_unaccepted(text: str, images: int, end: int) -> None:
    assert parse_boot_accept(text).end_address(SIX_GIB, images) == end


@given(st.integers(1, 2 * 1024 * 256))
def test_a_size_counts_bytes_in_the_hob_lists_order_whatever_was_carved_out(count: int) -> None:
    end = parse_boot_accept(hex(count * PAGE_SIZE)).end_address(SIX_GIB)
    assert sum(max(0, min(entry.end, end) - entry.start) for entry in SIX_GIB) == count * PAGE_SIZE


@pytest.mark.parametrize("text", ["", "everything", "512X", "-1", "presize:", "presize:all", "below-8g"])
def test_what_is_no_policy_is_refused_with_those_there_are(text: str) -> None:
    if text == "presize:":
        assert parse_boot_accept(text).size == 512 * MIB
        return
    with pytest.raises(UsageError, match=r"eager, below-4g, presize\[:SIZE\]"):
        parse_boot_accept(text)


@pytest.mark.parametrize("text", ["0", "1", "4097", "presize:5000"])
def test_a_size_off_the_page_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="multiple of 4 KiB"):
        parse_boot_accept(text)
