"""Planning accepts: after the plan all needs are met in their order, and little more was accepted."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.accept.needs import Need, lowest_fit, meets, plan_accepts, unaccepted_ranges
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import GIB, MIB, PAGE_SIZE, align_up
from tests.accept.lazy import ADDRESS, ANY, DATA, lazy_td

CODE = EfiMemoryType.EfiLoaderCode


def needs() -> st.SearchStrategy[list[Need]]:
    """Needs as loaders have them: at the top, below a limit, or by address above 16 MiB at 2 MiB."""
    size = st.integers(1, 700 * MIB)
    top = st.builds(
        lambda size, limit: (size, limit, 0), size, st.sampled_from([(1 << 64) - 1, 4 * GIB - 1, 2 * GIB - 1])
    )
    slot = st.builds(lambda size: (size, (1 << 64) - 1, 2 * MIB), size)

    def named(parts: list[tuple[int, int, int]]) -> list[Need]:
        return [
            Need(f"need{number}", size, CODE if alignment else DATA, limit, 16 * MIB if alignment else 0, alignment)
            for number, (size, limit, alignment) in enumerate(parts)
        ]

    return st.builds(named, st.lists(top | slot, min_size=1, max_size=4))


def accept_plan(services: BootServices, wanted: list[Need]) -> list[tuple[int, int]] | None:
    """Plan, and accept what was planned."""
    plan = plan_accepts(services, wanted)
    for start, end in plan or ():
        assert services.accept_memory(start, end - start).is_error is False
    return plan


@settings(max_examples=60)
@given(needs(), st.sampled_from([2, 3, 6]), st.sampled_from([128, 512, 1000]))
def test_after_the_plan_every_need_is_met_in_its_order(wanted: list[Need], memory: int, accepted: int) -> None:
    services = lazy_td(memory * GIB, accepted=(0, accepted * MIB))
    plan = accept_plan(services, wanted)
    if plan is None:
        return
    for need in wanted:
        at = meets(services, need)
        assert at is not None
        assert at >= need.minimum
        assert at + need.size - 1 <= need.maximum
        assert not need.alignment or at % need.alignment == 0


@settings(max_examples=60)
@given(needs(), st.sampled_from([128, 512, 1000]))
def test_boot_bytes_planned_bytes_and_bytes_left_are_the_ram(wanted: list[Need], accepted: int) -> None:
    services = lazy_td(3 * GIB, accepted=(0, accepted * MIB))
    plan = accept_plan(services, wanted) or []
    planned = sum(end - start for start, end in plan)
    left = sum(end - start for start, end in unaccepted_ranges(services))
    assert accepted * MIB + planned + left == 3 * GIB
    assert services.td.accepted_bytes == accepted * MIB + planned


@settings(max_examples=60)
@given(needs())
def test_no_plan_accepts_a_byte_twice_or_more_than_all_needs_in_sum(wanted: list[Need]) -> None:
    services = lazy_td(6 * GIB, accepted=(0, 128 * MIB))
    plan = plan_accepts(services, wanted)
    if plan is None:
        return
    ranges = sorted(plan)
    assert all(low[1] <= high[0] for low, high in pairwise(ranges))
    slack = sum(need.alignment + PAGE_SIZE for need in wanted) + len(wanted) * sum(need.size for need in wanted)
    assert sum(end - start for start, end in plan) <= sum(need.size for need in wanted) + slack


def test_what_can_be_met_already_needs_no_accept() -> None:
    assert plan_accepts(lazy_td(2 * GIB), [Need("small", 8 * MIB)]) == []


def test_what_cannot_be_met_at_all_has_no_plan() -> None:
    services = lazy_td(2 * GIB)
    assert plan_accepts(services, [Need("large", 3 * GIB)]) is None
    assert plan_accepts(services, [Need("low", 64 * MIB, maximum=16 * MIB - 1)]) is None


def test_planning_changes_nothing() -> None:
    services = lazy_td(2 * GIB)
    before = (list(services.core.memory_map), services.td.accepted_bytes, len(services.trace))
    plan_accepts(services, [Need("a", 600 * MIB), Need("b", 100 * MIB, CODE, minimum=16 * MIB, alignment=2 * MIB)])
    assert (list(services.core.memory_map), services.td.accepted_bytes, len(services.trace)) == before


def test_a_plan_leaves_what_firmware_would_draw_from_it_for_earlier_needs() -> None:
    services = lazy_td(2 * GIB, accepted=(0, 64 * MIB))
    wanted = [Need("first", 32 * MIB), Need("second", 100 * MIB)]
    accept_plan(services, wanted)
    first, second = (services.allocate_pages(ANY, DATA, need.size // PAGE_SIZE, 0) for need in wanted)
    assert not first.status.is_error
    assert not second.status.is_error


def test_memory_of_a_need_that_ended_is_used_again() -> None:
    services = lazy_td(2 * GIB, accepted=(0, 64 * MIB))
    services.allocate_pages(ADDRESS, DATA, 4 * 256, 4 * MIB)
    buffer, again = Need("buffer", 40 * MIB), Need("again", 40 * MIB, release="buffer")
    assert plan_accepts(services, [buffer, again]) == []
    both = plan_accepts(services, [buffer, Need("again", 40 * MIB)])
    assert both is not None
    assert sum(end - start for start, end in both) >= 40 * MIB


def test_the_lowest_fit_is_aligned_and_just_as_long_as_needed() -> None:
    services = lazy_td(2 * GIB, accepted=(0, 17 * MIB))
    need = Need("kernel", 5 * MIB + 1, CODE, minimum=16 * MIB, alignment=2 * MIB)
    assert lowest_fit(services, need) == (18 * MIB, 18 * MIB + align_up(5 * MIB + 1, PAGE_SIZE))
    assert lowest_fit(services, Need("far", MIB, minimum=3 * GIB)) is None


def test_unaccepted_ranges_are_cut_at_the_limit() -> None:
    services = lazy_td(6 * GIB)
    assert unaccepted_ranges(services) == [(16 * MIB, 2 * GIB), (4 * GIB, 8 * GIB)]
    assert unaccepted_ranges(services, 4 * GIB - 1) == [(16 * MIB, 2 * GIB)]
    assert unaccepted_ranges(services, 32 * MIB + 5) == [(16 * MIB, 32 * MIB)]


@given(st.integers(1, 700 * MIB), st.integers(1, 700 * MIB))
def test_a_plan_accepts_each_need_once_and_nothing_for_a_need_that_is_not_there(first: int, second: int) -> None:
    services = lazy_td(6 * GIB)
    services.allocate_pages(ADDRESS, DATA, 15 * 256, MIB)  # nothing of what is accepted is of use
    for sizes in ([first], [first, second]):
        plan = plan_accepts(services, [Need(f"need{number}", size) for number, size in enumerate(sizes)])
        assert plan is not None
        if sum(sizes) <= 2 * GIB - 16 * MIB:
            assert sum(end - start for start, end in plan) <= sum(align_up(size, PAGE_SIZE) for size in sizes)


@pytest.mark.parametrize(
    ("maximum", "end"), [(32 * MIB - 1, 32 * MIB), (32 * MIB - 2, 32 * MIB - PAGE_SIZE), (32 * MIB, 32 * MIB)]
)
def test_a_limit_is_the_last_byte_that_may_be_used(maximum: int, end: int) -> None:
    assert unaccepted_ranges(lazy_td(2 * GIB), maximum) == [(16 * MIB, end)]


def test_a_need_that_fills_a_range_to_its_end_fits() -> None:
    services = lazy_td(2 * GIB)
    assert lowest_fit(services, Need("all", 2 * GIB - 16 * MIB)) == (16 * MIB, 2 * GIB)
    assert lowest_fit(services, Need("more", 2 * GIB - 16 * MIB + 1)) is None
    assert lowest_fit(services, Need("low", 32 * MIB, maximum=48 * MIB - 1)) == (16 * MIB, 48 * MIB)
    assert lowest_fit(services, Need("lower", 32 * MIB, maximum=48 * MIB - 2)) is None
    services = lazy_td(2 * GIB, accepted=(0, 18 * MIB))
    assert meets(services, Need("kernel", 2 * MIB, CODE, minimum=16 * MIB, alignment=2 * MIB)) == 16 * MIB
