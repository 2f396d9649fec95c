"""Secure EPT by itself: what removing pages leaves of tables, leaves and half-mapped regions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.td.sept import FREE_4K, NO_TABLE, ONE_PENDING, SecureEpt, SeptEntry
from tdvfsh.uefi.tdx import SeptLevel, SeptState
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE

MAPPED_2M = SeptEntry(SeptState.MAPPED, SeptLevel.LEVEL_2M)
MAPPED_4K = SeptEntry(SeptState.MAPPED, SeptLevel.LEVEL_4K)
REGIONS = 4


@pytest.fixture
def sept() -> SecureEpt:
    made = SecureEpt()
    made.put(0, REGIONS * LARGE_PAGE_SIZE, MAPPED_2M)
    return made


def entries(sept: SecureEpt) -> list[tuple[int, int, SeptEntry]]:
    return list(sept.spans(0, REGIONS * LARGE_PAGE_SIZE))


def test_removing_whole_large_leaves_takes_them_and_leaves_their_neighbours_alone(sept: SecureEpt) -> None:
    sept.remove(LARGE_PAGE_SIZE, 2 * LARGE_PAGE_SIZE)
    assert entries(sept) == [
        (0, LARGE_PAGE_SIZE, MAPPED_2M),
        (LARGE_PAGE_SIZE, 2 * LARGE_PAGE_SIZE, NO_TABLE),
        (2 * LARGE_PAGE_SIZE, REGIONS * LARGE_PAGE_SIZE, MAPPED_2M),
    ]


def test_removing_a_part_of_a_large_leaf_demotes_it_and_frees_the_pages(sept: SecureEpt) -> None:
    at = LARGE_PAGE_SIZE + 3 * PAGE_SIZE
    sept.remove(at, at + 2 * PAGE_SIZE)
    assert entries(sept) == [
        (0, LARGE_PAGE_SIZE, MAPPED_2M),
        (LARGE_PAGE_SIZE, at, MAPPED_4K),
        (at, at + 2 * PAGE_SIZE, FREE_4K),
        (at + 2 * PAGE_SIZE, 2 * LARGE_PAGE_SIZE, MAPPED_4K),
        (2 * LARGE_PAGE_SIZE, REGIONS * LARGE_PAGE_SIZE, MAPPED_2M),
    ]


def test_removing_a_region_of_which_the_host_mapped_one_page_leaves_its_table(sept: SecureEpt) -> None:
    sept.fault_tables(0, LARGE_PAGE_SIZE)
    assert sept.bytes_in(SeptState.PENDING) == PAGE_SIZE
    sept.remove(0, LARGE_PAGE_SIZE)
    assert entries(sept)[0] == (0, LARGE_PAGE_SIZE, FREE_4K)
    assert sept.bytes_in(SeptState.PENDING) == 0


def test_pages_added_again_after_a_removal_are_counted_once(sept: SecureEpt) -> None:
    sept.remove(0, REGIONS * LARGE_PAGE_SIZE)
    assert sept.bytes_in(SeptState.MAPPED) == 0
    sept.aug(0, PAGE_SIZE)
    assert (sept.entry(0).state, sept.bytes_in(SeptState.PENDING)) == (SeptState.PENDING, PAGE_SIZE)
    assert isinstance(sept.bytes_in(SeptState.PENDING), int)
    assert ONE_PENDING not in {entry for _, _, entry in entries(sept)}


def test_spans_without_a_start_begin_at_the_first_byte(sept: SecureEpt) -> None:
    assert next(sept.spans()) == (0, REGIONS * LARGE_PAGE_SIZE, MAPPED_2M)


def mapped(sept: SecureEpt) -> set[int]:
    return {
        page
        for start, end, entry in sept.spans()
        if entry.state is SeptState.MAPPED
        for page in range(start, end, PAGE_SIZE)
    }


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["map", "map 2M", "aug", "fault", "remove", "block", "unblock", "ask"]),
            st.integers(0, 1535),
        ),
        max_size=25,
    )
)
def test_what_is_told_to_be_newly_mapped_is_all_that_is(steps: list[tuple[str, int]]) -> None:
    sept, reader = SecureEpt(), object()
    assert sept.newly_mapped(reader) is None
    known: set[int] = set()
    for what, page in [*steps, ("ask", 0)]:
        start, region = page * PAGE_SIZE, page * PAGE_SIZE // LARGE_PAGE_SIZE * LARGE_PAGE_SIZE
        if what == "map":
            sept.put(start, start + PAGE_SIZE, MAPPED_4K)
        elif what == "map 2M":
            sept.put(region, region + LARGE_PAGE_SIZE, MAPPED_2M)
        elif what == "aug" and sept.state(start) is SeptState.FREE:
            sept.aug(start, start + PAGE_SIZE)
        elif what == "fault" and sept.entry(region) == NO_TABLE:
            sept.fault_tables(region, region + LARGE_PAGE_SIZE)
        elif what == "remove":
            sept.remove(start, start + PAGE_SIZE)
        elif what == "block":
            sept.block(region, region + LARGE_PAGE_SIZE)
        elif what == "unblock":
            sept.unblock(region, region + LARGE_PAGE_SIZE)
        elif what == "ask":
            fresh = sept.newly_mapped(reader)
            if fresh is None:
                known = mapped(sept)
            else:
                known |= {page for start, end in fresh for page in range(start, end, PAGE_SIZE)}
            assert known == mapped(sept)


def test_each_reader_has_to_look_at_all_first_and_a_copy_has_none(sept: SecureEpt) -> None:
    one, other = object(), object()
    assert sept.newly_mapped(one) is None
    assert sept.newly_mapped(one) == []
    assert sept.newly_mapped(other) is None
    assert sept.newly_mapped(one) is None
    sept.put(REGIONS * LARGE_PAGE_SIZE, (REGIONS + 1) * LARGE_PAGE_SIZE, MAPPED_2M)
    assert sept.copy().newly_mapped(one) is None
    assert sept.newly_mapped(one) == [(REGIONS * LARGE_PAGE_SIZE, (REGIONS + 1) * LARGE_PAGE_SIZE)]
