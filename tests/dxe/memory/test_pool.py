from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.memory.pool import BLOCK_SIZES
from tdvfsh.dxe.profile import BOOKWORM, TRIXIE
from tests.dxe.machines import BS_DATA, LOADER_DATA, RAM, RT_DATA, page, plain_machine, shape

TOP = RAM // 4096
FIRST = page(TOP - 1) + 0x18


def test_a_new_page_is_served_from_its_start_and_the_rest_is_cut_largest_first() -> None:
    services = plain_machine()
    buffers = [services.allocate_pool(LOADER_DATA, 1).buffer for _ in range(4)]
    offsets = [(buffer or 0) - page(TOP - 1) - 0x18 for buffer in buffers]
    # 128, then 2688, 1024 and 256: the next ones come from the smallest block that is left
    assert offsets == [0, 128 + 2688 + 1024, 128 + 2688 + 1024 + 128, 128 + 2688]


def test_the_last_block_freed_is_the_first_one_given() -> None:
    services = plain_machine()
    _, second, third = (services.allocate_pool(LOADER_DATA, 1).buffer or 0 for _ in range(3))
    services.free_pool(second)
    services.free_pool(third)
    assert [services.allocate_pool(LOADER_DATA, 1).buffer for _ in range(2)] == [third, second]


@pytest.mark.parametrize(("size", "pages"), [(0, 1), (2648, 1), (2649, 1), (4056, 1), (4057, 2), (8152, 2), (8153, 3)])
def test_forty_bytes_of_overhead_decide_how_many_pages_a_pool_takes(size: int, pages: int) -> None:
    services = plain_machine()
    services.allocate_pool(LOADER_DATA, size)
    assert (TOP - pages, pages, LOADER_DATA) in shape(services)


def test_2648_bytes_share_a_page_and_2649_take_their_own() -> None:
    services = plain_machine()
    services.allocate_pool(LOADER_DATA, 2648)
    services.allocate_pool(LOADER_DATA, 8)
    assert (TOP - 1, 1, LOADER_DATA) in shape(services)
    services.allocate_pool(LOADER_DATA, 2649)
    assert (TOP - 2, 2, LOADER_DATA) in shape(services)


def test_a_page_goes_back_when_its_last_block_is_freed() -> None:
    services = plain_machine()
    before = shape(services)
    buffers = [services.allocate_pool(LOADER_DATA, size).buffer for size in (1, 100, 600, 1500)]
    for buffer in buffers:
        assert services.free_pool(buffer or 0).name == "EFI_SUCCESS"
    assert shape(services) == before


def test_every_type_has_a_pool_of_its_own() -> None:
    services = plain_machine()
    assert services.allocate_pool(LOADER_DATA, 1).buffer == FIRST
    assert services.allocate_pool(BS_DATA, 1).buffer == page(TOP - 2) + 0x18


def test_an_oem_types_pool_has_a_header_in_boot_services_data_that_goes_with_its_last_block() -> None:
    services = plain_machine()
    before = shape(services)
    buffer = services.allocate_pool(0x80000000, 1).buffer
    assert buffer == page(TOP - 2) + 0x18
    assert (TOP - 1, 1, BS_DATA) in shape(services)
    services.free_pool(buffer or 0)
    assert shape(services) == before


@pytest.mark.parametrize("memory_type", [7, 14, 16, 0x6FFFFFFF])
def test_a_type_that_may_not_be_asked_for_leaves_the_pointer_alone(memory_type: int) -> None:
    result = plain_machine().allocate_pool(memory_type, 1)
    assert (result.status.name, result.buffer) == ("EFI_INVALID_PARAMETER", None)


def test_unaccepted_pools_were_refused_from_2023_on() -> None:
    assert plain_machine(BOOKWORM).allocate_pool(15, 1).status.name == "EFI_SUCCESS"
    assert plain_machine(TRIXIE).allocate_pool(15, 1).status.name == "EFI_INVALID_PARAMETER"


@pytest.mark.parametrize("size", [RAM, 1 << 44, 1 << 63, (1 << 64) - 40, (1 << 64) - 1])
def test_a_pool_too_large_is_out_of_resources_and_its_pointer_null(size: int) -> None:
    result = plain_machine().allocate_pool(LOADER_DATA, size)
    assert (result.status.name, result.buffer) == ("EFI_OUT_OF_RESOURCES", 0)


def test_no_place_for_the_pointer_is_an_invalid_parameter() -> None:
    assert plain_machine().allocate_pool(LOADER_DATA, 1, has_buffer=False).status.name == "EFI_INVALID_PARAMETER"


def test_freeing_null_garbage_or_twice_is_an_invalid_parameter() -> None:
    services = plain_machine()
    buffer = services.allocate_pool(LOADER_DATA, 100).buffer
    assert buffer
    for pointer in (0, buffer + 8, buffer - 8, buffer + 1):
        assert services.free_pool(pointer).name == "EFI_INVALID_PARAMETER"
    assert services.free_pool(buffer).name == "EFI_SUCCESS"
    assert services.free_pool(buffer).name == "EFI_INVALID_PARAMETER"


def test_a_small_pool_moves_the_key_only_with_its_page() -> None:
    services = plain_machine()
    key = services.core.memory_map.key
    keys = []
    first = services.allocate_pool(LOADER_DATA, 32).buffer or 0
    keys.append(services.core.memory_map.key - key)
    second = services.allocate_pool(LOADER_DATA, 32).buffer or 0
    services.free_pool(second)
    keys.append(services.core.memory_map.key - key)
    services.free_pool(first)
    keys.append(services.core.memory_map.key - key)
    assert keys == [1, 1, 2]


def test_a_copy_of_the_machine_allocates_and_frees_for_itself() -> None:
    services = plain_machine()
    kept = services.allocate_pool(LOADER_DATA, 100).buffer or 0
    twin = services.core.copy()
    assert twin.pool.free_pool(kept).name == "EFI_SUCCESS"
    assert services.free_pool(kept).name == "EFI_SUCCESS"
    assert len(twin.memory_map) == len(services.core.memory_map)


def test_a_page_that_firmware_holds_serves_small_requests_and_is_never_given_back() -> None:
    services = plain_machine()
    services.core.pool.adopt_free_blocks(LOADER_DATA, page(8))
    before = shape(services)
    buffer = services.allocate_pool(LOADER_DATA, BLOCK_SIZES[3] - 40).buffer or 0
    assert page(8) < buffer < page(9)
    services.free_pool(buffer)
    assert shape(services) == before


@given(st.integers(0, 1 << 32))
def test_pages_taken_away_from_under_the_pools_never_break_them(seed: int) -> None:
    services, random = plain_machine(), Random(seed)
    buffers: list[int] = []
    for _ in range(120):
        kind = random.random()
        if kind < 0.5:
            memory_type = random.choice((LOADER_DATA, BS_DATA, RT_DATA, 0x80000001))
            buffers.append(
                services.allocate_pool(memory_type, random.choice((1, 100, 500, 1500, 2600, 5000))).buffer or 0
            )
        elif buffers and kind < 0.8:
            services.free_pool(buffers.pop(random.randrange(len(buffers))))
        elif buffers:
            services.free_pages(random.choice(buffers) & -page(1), 1)
