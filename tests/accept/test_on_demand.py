"""The RFC's three options: option 1's worked vectors, and what each option does when a loader asks."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.accept.needs import Need
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES, accept_memory_resource, on_demand_named
from tdvfsh.errors import UsageError
from tdvfsh.td.faults import FaultPlan
from tdvfsh.uefi.guids import EDKII_MEMORY_ACCEPT_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.tdx import TdcallStatus
from tdvfsh.units import GIB, KIB, MIB, PAGE_SIZE
from tests.accept.lazy import ADDRESS, ANY, DATA, MAX, conventional, lazy_td

OUT: Final = EfiStatus.EFI_OUT_OF_RESOURCES
CRYPTO: Final = 0x80000
LOW_FULL: Final = ((16 * MIB, 2 * GIB),)
"""All RAM below 2 GiB beyond the first 16 MiB is unknown to the GCD, so that only RAM above 4 GiB can be accepted."""


def pages(mib: int) -> int:
    return mib * 256


def test_vector_1_the_range_is_taken_from_the_low_end_and_the_pages_from_its_top() -> None:
    services = lazy_td(4 * GIB, holes=LOW_FULL, on_demand="allocator")
    result = services.allocate_pages(ANY, DATA, pages(40), 0)
    assert result == (SUCCESS, 0x101800000)
    assert services.td.accepted_bytes == 16 * MIB + 64 * MIB
    assert (0x100000000, 0x101800000, CRYPTO) in conventional(services)


def test_vector_2_a_second_request_opens_a_second_range_that_does_not_join_the_first_hole() -> None:
    services = lazy_td(4 * GIB, holes=LOW_FULL, on_demand="allocator")
    services.allocate_pages(ANY, DATA, pages(40), 0)
    assert services.allocate_pages(ANY, DATA, pages(30), 0) == (SUCCESS, 0x104200000)
    assert services.td.accepted_bytes == 16 * MIB + 96 * MIB


def test_vector_3_a_limit_is_kept() -> None:
    services = lazy_td(2 * GIB, accepted=(0, 512 * MIB), on_demand="allocator")
    services.allocate_pages(ADDRESS, DATA, pages(511), MIB)
    assert services.allocate_pages(MAX, DATA, pages(100), 0x7FFFFFFF) == (SUCCESS, 0x21C00000)
    assert services.td.accepted_bytes == 512 * MIB + 128 * MIB


def test_vector_4_a_request_that_would_fit_fails_when_its_rounded_size_does_not() -> None:
    services = lazy_td(256 * MIB, accepted=(0, 216 * MIB), on_demand="allocator")
    services.allocate_pages(ADDRESS, DATA, pages(215), MIB)
    assert services.allocate_pages(ANY, DATA, pages(33), 0).status is OUT
    assert services.allocate_pages(ANY, DATA, pages(32), 0).status is SUCCESS


@pytest.mark.parametrize(("limit", "left"), [(0x7FFFFFFF, 0x7FFFFFFF), (0x80000000, 0x7FFFFFFF)])
def test_vectors_5_and_6_the_callers_limit_is_rewritten_even_where_nothing_can_be_had(limit: int, left: int) -> None:
    services = lazy_td(4 * GIB, holes=LOW_FULL, on_demand="allocator")
    assert services.allocate_pages(MAX, DATA, pages(100), limit) == (OUT, left)
    assert services.td.accepted_bytes == 16 * MIB


def test_vector_7_no_pages_at_all_accept_nothing() -> None:
    services = lazy_td(2 * GIB, on_demand="allocator")
    assert services.allocate_pages(ANY, DATA, 0, 0).status is OUT
    assert services.td.accepted_bytes == 16 * MIB


@pytest.mark.parametrize("address", [32 * MIB, 4 * MIB])
def test_vector_8_a_request_by_address_is_not_found_and_never_asks_for_an_accept(address: int) -> None:
    services = lazy_td(2 * GIB, on_demand="allocator")
    services.allocate_pages(ADDRESS, DATA, pages(1), 4 * MIB)
    assert services.allocate_pages(ADDRESS, DATA, pages(1), address).status is EfiStatus.EFI_NOT_FOUND
    assert services.td.accepted_bytes == 16 * MIB


def test_vector_9_load_image_from_a_path_succeeds_after_an_accept_for_its_buffer() -> None:
    # The whole of it, with a file system and a real image, is a boot: tests/loaders/test_direct.py has the failure.
    services = lazy_td(2 * GIB, on_demand="allocator")
    status, buffer = services.allocate_pool(4, 20 * MIB)
    assert status is SUCCESS
    assert buffer is not None
    assert buffer >= 16 * MIB
    assert lazy_td(2 * GIB).allocate_pool(4, 20 * MIB).status is OUT


def test_the_pool_path_forgets_its_own_overhead_so_one_accept_may_not_do() -> None:
    services = lazy_td(2 * GIB, on_demand="allocator")
    assert services.allocate_pool(4, 32 * MIB).status is OUT  # 32 MiB accepted, 32 MiB and 40 bytes needed
    assert services.allocate_pool(4, 32 * MIB).status is SUCCESS  # beside what was accepted for nothing


def test_option_1_retries_once_only() -> None:
    services = lazy_td(2 * GIB, on_demand="allocator")
    services.allocate_pool(4, 32 * MIB)
    accepts = [record for record in services.trace if record.service == "EDKII_MEMORY_ACCEPT_PROTOCOL.AcceptMemory"]
    assert services.td.accepted_bytes == 16 * MIB + 32 * MIB
    assert len(accepts) <= 1


def test_a_failed_accept_leaves_out_of_resources() -> None:
    services = lazy_td(2 * GIB, on_demand="allocator")
    services.td.faults = FaultPlan(tdcalls={1: int(TdcallStatus.OPERAND_INVALID)})
    assert services.allocate_pages(ANY, DATA, pages(40), 0).status is OUT


def test_without_the_protocol_option_1_does_nothing() -> None:
    services = lazy_td(2 * GIB, on_demand="allocator")
    handle = services.handles.locate_protocol(EDKII_MEMORY_ACCEPT_PROTOCOL_GUID)
    assert handle.interface is not None
    for number in range(1, 10):
        services.handles.uninstall_protocol_interface(number, EDKII_MEMORY_ACCEPT_PROTOCOL_GUID)
    assert services.allocate_pages(ANY, DATA, pages(40), 0).status is OUT


@given(st.integers(1, 3000 * MIB), st.integers(0, 5 * GIB))
def test_option_1_accepts_a_multiple_of_32_mib_at_the_low_end_and_below_the_limit(size: int, limit: int) -> None:
    services = lazy_td(5 * GIB)
    before = services.td.accepted_bytes
    again, memory = accept_memory_resource(services, MAX, size, limit)
    accepted = services.td.accepted_bytes - before
    assert accepted % (32 * MIB) == 0
    assert (accepted > 0) == again
    if again:
        assert size <= accepted < size + 32 * MIB
        start = next(low for low, _, attribute in conventional(services) if attribute == CRYPTO)
        assert start in (16 * MIB, 4 * GIB)
        assert start + accepted - 1 <= memory <= limit
    if limit >= PAGE_SIZE - 1:
        assert memory in (limit, (limit - PAGE_SIZE) & -PAGE_SIZE | PAGE_SIZE - 1)


def test_an_unknown_option_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match="allocator, loader, loader-literal, service"):
        on_demand_named("eager")
    assert [on_demand_named(name).name for name in ON_DEMAND_NAMES] == list(ON_DEMAND_NAMES)


def test_only_options_2_repaired_and_3_teach_loaders() -> None:
    assert [name for name in ON_DEMAND_NAMES if on_demand_named(name).teaches_loaders] == ["loader", "service"]


NEED: Final = [Need("image", 100 * MIB)]


@pytest.mark.parametrize(
    ("name", "step", "status", "attempt", "expected"),
    [
        ("none", "load_image", OUT, 1, False),
        ("allocator", "load_image", OUT, 1, False),
        ("service", "load_image", OUT, 1, False),
        ("loader-literal", "load_image", OUT, 1, True),
        ("loader-literal", "load_image", OUT, 2, False),
        ("loader-literal", "load_image", EfiStatus.EFI_NOT_FOUND, 1, False),
        ("loader-literal", "start_image", OUT, 1, False),
        ("loader-literal", "fetch_blobs", OUT, 1, False),
        ("loader", "load_image", OUT, 1, True),
        ("loader", "load_image", EfiStatus.EFI_NOT_FOUND, 1, True),
        ("loader", "start_image", OUT, 1, True),
        ("loader", "fetch_blobs", OUT, 1, True),
        ("loader", "load_image", EfiStatus.EFI_UNSUPPORTED, 1, False),
    ],
)
def test_who_repeats_which_step(name: str, step: str, status: EfiStatus, attempt: int, expected: bool) -> None:
    services = lazy_td(2 * GIB)
    assert on_demand_named(name).repeat_after(services, step, status, NEED, attempt) == expected
    assert (services.td.accepted_bytes > 16 * MIB) == expected


def test_option_3_accepts_before_the_step_just_what_is_missing() -> None:
    services = lazy_td(2 * GIB)
    on_demand_named("service").before(services, "load_image", NEED)
    assert services.td.accepted_bytes == 16 * MIB + 100 * MIB
    assert services.allocate_pages(ANY, DATA, pages(100), 0).status is SUCCESS


def test_option_3_accepts_nothing_where_the_step_has_what_it_needs_or_never_can() -> None:
    services = lazy_td(2 * GIB)
    service = on_demand_named("service")
    service.before(services, "load_image", [Need("image", 8 * MIB)])
    service.before(services, "load_image", [Need("image", 8 * GIB)])
    service.before(services, "load_image", [Need("image", 64 * MIB, maximum=16 * MIB - 1)])
    assert services.td.accepted_bytes == 16 * MIB


def test_only_option_3_goes_through_the_boot_service() -> None:
    for name in ("loader", "service"):
        services = lazy_td(2 * GIB)
        option = on_demand_named(name)
        option.before(services, "load_image", NEED)
        option.repeat_after(services, "load_image", OUT, NEED, 1)
        assert any(record.service == "AcceptMemory" for record in services.trace) == (name == "service")


def test_option_2_gives_all_that_is_left_below_the_limit_where_it_cannot_be_enough() -> None:
    services = lazy_td(5 * GIB)
    loader = on_demand_named("loader")
    assert loader.repeat_after(services, "load_kernel", OUT, [Need("kernel", 8 * GIB, maximum=4 * GIB - 1)], 1)
    assert services.td.accepted_bytes == 2 * GIB
    assert not loader.repeat_after(services, "load_kernel", OUT, [Need("kernel", 8 * GIB, maximum=4 * GIB - 1)], 2)


def test_a_need_of_16_pages_accepts_16_pages() -> None:
    services = lazy_td(2 * GIB, accepted=(0, 4 * MIB))
    services.allocate_pages(ADDRESS, DATA, 1015, 4 * KIB)
    on_demand_named("service").before(services, "load_kernel", [Need("boot_params", 64 * KIB)])
    assert services.td.accepted_bytes == 4 * MIB + 64 * KIB


def test_option_3_needs_a_page_for_its_own_bookkeeping() -> None:
    services = lazy_td(2 * GIB, accepted=(0, 4 * MIB))
    services.allocate_pages(ADDRESS, DATA, 1023, 4 * KIB)
    on_demand_named("service").before(services, "load_kernel", [Need("boot_params", 64 * KIB)])
    assert services.td.accepted_bytes == 4 * MIB
    assert any(record.status is OUT for record in services.trace if record.service == "AcceptMemory")


def test_option_2_takes_the_widest_limit_of_a_steps_needs_where_it_cannot_be_enough() -> None:
    services = lazy_td(5 * GIB)
    wanted = [Need("kernel", 8 * GIB, maximum=4 * GIB - 1), Need("initrd", 8 * GIB)]
    assert on_demand_named("loader").repeat_after(services, "load_kernel", OUT, wanted, 1)
    assert services.td.accepted_bytes == 5 * GIB  # the initrd may lie above 4 GiB, so that memory counts too


def test_option_1_takes_a_range_that_its_rounded_size_fills_and_one_that_ends_at_the_limit() -> None:
    services = lazy_td(2 * GIB, accepted=(0, 2 * GIB - 64 * MIB))
    assert accept_memory_resource(services, ANY, 64 * MIB, 0) == (True, 0)
    last = 16 * MIB + 32 * MIB - 1
    assert accept_memory_resource(lazy_td(2 * GIB), MAX, 32 * MIB, last) == (True, last)
    low = last - PAGE_SIZE
    assert accept_memory_resource(lazy_td(2 * GIB), MAX, 32 * MIB, low) == (False, low)


def test_option_1_asks_for_no_retry_where_it_cannot_accept() -> None:
    services = lazy_td(2 * GIB)
    assert accept_memory_resource(services, ANY, 0, 5) == (False, 5)
    assert accept_memory_resource(services, MAX, 4096, PAGE_SIZE - 2) == (False, PAGE_SIZE - 2)
    services.td.faults = FaultPlan(tdcalls={1: int(TdcallStatus.OPERAND_INVALID)})
    assert accept_memory_resource(services, ANY, 4096, 5) == (False, 5)


def test_option_2_accepts_before_the_initrd_only_in_a_second_start() -> None:
    for step, failed, accepts in (
        ("load_initrd", True, True), ("load_initrd", False, False), ("load_image", True, False),
    ):  # fmt: skip
        services = lazy_td(2 * GIB)
        loader = on_demand_named("loader")
        if failed:
            loader.repeat_after(services, "start_image", OUT, [Need("kernel", 8 * MIB)], 1)
        before = services.td.accepted_bytes
        loader.before(services, step, NEED)
        assert (services.td.accepted_bytes > before) == accepts, (step, failed)


def test_option_2_starts_the_kernel_once_more_without_an_accept_where_everything_seems_to_fit() -> None:
    services = lazy_td(2 * GIB)
    fits = [Need("kernel", 4 * MIB)]
    loader = on_demand_named("loader")
    assert loader.repeat_after(services, "start_image", OUT, fits, 1)
    assert services.td.accepted_bytes == 16 * MIB
    assert loader.repeat_after(services, "start_image", OUT, fits, 2)  # the second time it gives what is left
    assert services.td.accepted_bytes == 2 * GIB
    other = lazy_td(2 * GIB)
    assert on_demand_named("loader").repeat_after(other, "load_image", OUT, fits, 1)
    assert other.td.accepted_bytes == 2 * GIB


def test_option_2_does_not_repeat_after_an_accept_that_failed_or_without_a_limit() -> None:
    services = lazy_td(2 * GIB)
    services.td.faults = FaultPlan(tdcalls={1: int(TdcallStatus.OPERAND_INVALID)})
    assert not on_demand_named("loader").repeat_after(services, "load_image", OUT, NEED, 1)
    assert not on_demand_named("loader").repeat_after(lazy_td(2 * GIB), "load_image", OUT, [], 1)
