from __future__ import annotations

import pytest

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.memory.bins import stack_bins
from tdvfsh.dxe.memory.memory_map import MapEntry
from tdvfsh.dxe.profile import BOOKWORM, RFC2021, TRIXIE, UPSTREAM, FirmwareProfile
from tdvfsh.units import PAGE_SIZE
from tests.dxe.machines import (
    ADDRESS,
    ANY,
    CONVENTIONAL,
    LOADER_DATA,
    MAX,
    RAM,
    RT_CODE,
    RT_DATA,
    WB,
    page,
    plain_machine,
)

TOP = RAM // PAGE_SIZE


def with_bins(profile: FirmwareProfile = UPSTREAM) -> BootServices:
    """16 pages above the bins, 8 pages of RT_Code above 8 of RT_Data."""
    bins = stack_bins(RAM - page(16), [(RT_CODE, 8), (RT_DATA, 8)])
    return plain_machine(profile, [MapEntry(0, RAM, CONVENTIONAL, WB)], bins)


def names(services: BootServices, *arguments: int) -> str:
    return services.allocate_pages(arguments[0], arguments[1], arguments[2], arguments[3]).status.name


@pytest.mark.parametrize("allocate_type", [3, 4, 0xFFFFFFFF])
def test_an_allocate_type_that_does_not_exist_is_an_invalid_parameter(allocate_type: int) -> None:
    assert names(plain_machine(), allocate_type, LOADER_DATA, 1, page(4)) == "EFI_INVALID_PARAMETER"


@pytest.mark.parametrize("memory_type", [7, 14, 15, 16, 0x6FFFFFFF])
def test_memory_types_that_may_not_be_asked_for_are_an_invalid_parameter(memory_type: int) -> None:
    for allocate_type in (ANY, MAX, ADDRESS):
        assert names(plain_machine(), allocate_type, memory_type, 0, page(4)) == "EFI_INVALID_PARAMETER"


@pytest.mark.parametrize("memory_type", [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 0x70000000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_all_other_memory_types_are_given(memory_type: int) -> None:
    services = plain_machine()
    assert names(services, ANY, memory_type, 1, 0) == "EFI_SUCCESS"
    assert services.core.memory_map.type_at(page(TOP - 1)) == memory_type


def test_unaccepted_memory_could_be_allocated_in_2021() -> None:
    assert names(plain_machine(RFC2021), ANY, 15, 1, 0) == "EFI_SUCCESS"


def test_no_place_for_the_address_is_an_invalid_parameter_even_before_anything_else() -> None:
    assert plain_machine().allocate_pages(ANY, LOADER_DATA, 1, None).status.name == "EFI_INVALID_PARAMETER"
    assert plain_machine().allocate_pages(ADDRESS, LOADER_DATA, 0, None).status.name == "EFI_INVALID_PARAMETER"


def test_no_pages_are_out_of_resources_anywhere_and_not_found_at_an_address() -> None:
    assert names(plain_machine(), ANY, LOADER_DATA, 0, 0) == "EFI_OUT_OF_RESOURCES"
    assert names(plain_machine(), MAX, LOADER_DATA, 0, RAM) == "EFI_OUT_OF_RESOURCES"
    assert names(plain_machine(), ADDRESS, LOADER_DATA, 0, page(4)) == "EFI_NOT_FOUND"


def test_more_pages_than_there_are_are_out_of_resources_and_the_address_is_left_alone() -> None:
    result = plain_machine().allocate_pages(ANY, LOADER_DATA, TOP + 1, 0x1234)
    assert (result.status.name, result.memory) == ("EFI_OUT_OF_RESOURCES", 0x1234)


def test_page_counts_that_wrap_behave_as_on_real_firmware() -> None:
    services = plain_machine()
    assert names(services, ANY, LOADER_DATA, 1 << 52, 0) == "EFI_INVALID_PARAMETER"
    assert services.allocate_pages(ANY, LOADER_DATA, (1 << 52) + 1, 0)[1] == page(TOP - 1)


def test_any_pages_come_from_the_very_top_and_a_limit_moves_them_below_it() -> None:
    services = plain_machine()
    assert services.allocate_pages(ANY, LOADER_DATA, 2, 0).memory == page(TOP - 2)
    assert services.allocate_pages(MAX, LOADER_DATA, 2, page(100) - 1).memory == page(98)
    assert services.allocate_pages(MAX, LOADER_DATA, 1, page(100) - 2).memory == page(97)


def test_limits_at_and_below_the_last_byte_of_a_page_are_the_same_limit() -> None:
    for limit in (page(100), page(100) - 1):
        assert plain_machine().allocate_pages(MAX, LOADER_DATA, 1, limit).memory == page(99)


def test_an_address_is_given_only_when_it_is_free_aligned_and_in_one_piece() -> None:
    services = plain_machine()
    assert services.allocate_pages(ADDRESS, LOADER_DATA, 4, page(8)) == (0, page(8))
    for start, pages in ((page(8), 4), (page(7), 2), (page(11), 2), (page(20) + 1, 1), (RAM - PAGE_SIZE, 2), (RAM, 1)):
        result = services.allocate_pages(ADDRESS, LOADER_DATA, pages, start)
        assert (result.status.name, result.memory) == ("EFI_NOT_FOUND", start)
    for pages in ((1 << 64) - 1, 1 << 52, (1 << 52) - 1):
        assert names(services, ADDRESS, LOADER_DATA, pages, page(20)) == "EFI_NOT_FOUND"


@pytest.mark.parametrize(
    ("profile", "status"), [(TRIXIE, "EFI_SUCCESS"), (BOOKWORM, "EFI_SUCCESS"), (UPSTREAM, "EFI_NOT_FOUND")]
)
def test_page_zero_could_be_had_by_address_until_2025(profile: FirmwareProfile, status: str) -> None:
    assert names(plain_machine(profile), ADDRESS, LOADER_DATA, 1, 0) == status


def test_a_type_with_a_bin_is_served_from_it_and_others_from_below_all_bins() -> None:
    services = with_bins()
    assert services.allocate_pages(ANY, RT_CODE, 1, 0).memory == page(TOP - 17)
    assert services.allocate_pages(ANY, RT_DATA, 1, 0).memory == page(TOP - 25)
    assert services.allocate_pages(ANY, LOADER_DATA, 1, 0).memory == page(TOP - 33)


def test_a_full_bin_sends_its_type_below_all_bins() -> None:
    services = with_bins()
    services.allocate_pages(ANY, RT_CODE, 8, 0)
    assert services.allocate_pages(ANY, RT_CODE, 1, 0).memory == page(TOP - 33)


def test_a_limit_below_the_bins_top_keeps_a_type_out_of_its_own_bin() -> None:
    services = with_bins()
    assert services.allocate_pages(MAX, RT_CODE, 1, RAM - page(16) - 2).memory == page(TOP - 33)
    assert services.allocate_pages(MAX, RT_CODE, 1, RAM - page(16) - 1).memory == page(TOP - 17)


def test_memory_above_the_bins_is_used_when_nothing_below_fits() -> None:
    services = with_bins()
    assert services.allocate_pages(ADDRESS, LOADER_DATA, TOP - 33, page(1)).status.name == "EFI_SUCCESS"
    assert services.allocate_pages(ANY, LOADER_DATA, 2, 0).memory == page(TOP - 2)


def test_nobody_else_gets_a_page_of_a_special_bin_by_address() -> None:
    services = with_bins()
    assert names(services, ADDRESS, LOADER_DATA, 1, page(TOP - 20)) == "EFI_NOT_FOUND"
    assert names(services, ADDRESS, LOADER_DATA, 2, page(TOP - 33)) == "EFI_NOT_FOUND"
    assert names(services, ADDRESS, RT_CODE, 1, page(TOP - 20)) == "EFI_SUCCESS"


def test_freeing_what_was_never_allocated_is_not_found() -> None:
    services = plain_machine()
    for address in (page(4), RAM, 0xE0000000, (1 << 64) - PAGE_SIZE):
        assert services.free_pages(address, 1).name == "EFI_NOT_FOUND"


def test_freeing_off_the_page_or_nothing_is_an_invalid_parameter() -> None:
    services = plain_machine()
    services.allocate_pages(ADDRESS, LOADER_DATA, 4, page(4))
    assert services.free_pages(page(4) + 1, 1).name == "EFI_INVALID_PARAMETER"
    assert services.free_pages(page(4), 0).name == "EFI_INVALID_PARAMETER"
    assert services.free_pages(page(4), 4).name == "EFI_SUCCESS"


def test_an_allocation_inherits_the_attributes_of_the_memory_it_comes_from() -> None:
    entries = [MapEntry(0, page(100), CONVENTIONAL, WB), MapEntry(page(100), RAM, CONVENTIONAL, 0x80000)]
    services = plain_machine(entries=entries)
    memory = services.allocate_pages(ANY, LOADER_DATA, 1, 0).memory
    entry = services.core.memory_map.find(memory)
    assert entry is not None
    assert entry.attribute == 0x80000


def test_each_call_leaves_a_record_with_names_as_the_specification_has_them() -> None:
    services = plain_machine()
    services.allocate_pages(MAX, LOADER_DATA, 1, page(100))
    record = services.trace.records[-1]
    assert record.service == "AllocatePages"
    assert record.arguments == {
        "allocate_type": "AllocateMaxAddress", "memory_type": "EfiLoaderData", "pages": 1, "memory": page(100),
    }  # fmt: skip
    assert record.results == {"memory": page(99)}
