from __future__ import annotations

from tdvfsh.dxe.memory.descriptor_pages import DescriptorPages
from tests.dxe.machines import ADDRESS, BS_DATA, LOADER_DATA, RAM, page, plain_machine, shape

TOP = RAM // 4096


def test_a_core_without_a_count_never_takes_a_page_for_itself() -> None:
    services = plain_machine()
    for number in range(2, 400, 2):
        services.allocate_pages(ADDRESS, LOADER_DATA, 1, page(number))
    assert all(memory_type != BS_DATA for _, _, memory_type in shape(services))


def test_an_empty_list_takes_one_page_at_the_top_for_sixty_four_more() -> None:
    services = plain_machine()
    pages = services.core.memory_map.descriptor_pages
    pages.spare = 0
    services.allocate_pages(ADDRESS, LOADER_DATA, 1, page(2))
    assert (TOP - 1, 1, BS_DATA) in shape(services)
    assert pages.spare == 64 - 3  # the new one, the tail it left, and the page's own


def test_the_count_of_live_and_spare_descriptors_is_whole_pages() -> None:
    services = plain_machine()
    memory_map = services.core.memory_map
    memory_map.descriptor_pages.spare = 63
    for number in (2, 4, 6, 8, 4, 2):
        services.allocate_pages(ADDRESS, LOADER_DATA, 1, page(number))
        assert memory_map.descriptor_pages.spare is not None
        assert (len(memory_map) + memory_map.descriptor_pages.spare) % 64 == 0
    for number in (4, 2, 8, 6):
        services.free_pages(page(number), 1)
        assert (len(memory_map) + (memory_map.descriptor_pages.spare or 0)) % 64 == 0


def test_the_page_costs_a_step_of_the_map_key() -> None:
    services = plain_machine()
    services.core.memory_map.descriptor_pages.spare = 0
    key = services.core.memory_map.key
    services.allocate_pages(ADDRESS, LOADER_DATA, 1, page(2))
    assert services.core.memory_map.key == key + 2


def test_a_copy_counts_for_itself() -> None:
    pages = DescriptorPages(3)
    twin = pages.copy()
    twin.spare = 9
    assert (pages.spare, twin.per_page) == (3, 64)
