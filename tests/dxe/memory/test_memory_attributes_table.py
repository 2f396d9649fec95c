from __future__ import annotations

import pytest

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.memory.memory_attributes_table import MemoryAttributesTable
from tests.dxe.machines import (
    ANY,
    BS_DATA,
    CONVENTIONAL,
    LOADER_DATA,
    RAM,
    RT_CODE,
    RT_DATA,
    page,
    plain_machine,
    shape,
)

TOP = RAM // 4096


def machine_with_table(split_entries: int = 19) -> BootServices:
    services = plain_machine()
    table = MemoryAttributesTable(spare_descriptors=45, split_entries=split_entries)
    services.core.memory_attributes_table = table
    table.rebuild(services.core)
    return services


def test_a_machine_without_a_table_allocates_runtime_memory_in_one_step() -> None:
    services = plain_machine()
    key = services.core.memory_map.key
    services.allocate_pages(ANY, RT_DATA, 1, 0)
    assert services.core.memory_map.key == key + 1


@pytest.mark.parametrize("memory_type", [RT_CODE, RT_DATA])
def test_runtime_pages_rebuild_the_table_when_they_come_and_when_they_go(memory_type: int) -> None:
    services = machine_with_table()
    table = services.core.memory_attributes_table
    assert table is not None
    places = [table.table]
    memory = services.allocate_pages(ANY, memory_type, 1, 0).memory
    places.append(table.table)
    services.free_pages(memory, 1)
    places.append(table.table)
    assert places[0] != places[1] != places[2]


def test_runtime_pools_rebuild_it_even_where_they_take_no_page() -> None:
    services = machine_with_table()
    services.allocate_pool(RT_DATA, 8)
    key = services.core.memory_map.key
    second = services.allocate_pool(RT_DATA, 8).buffer or 0
    assert services.core.memory_map.key == key + 2  # the buffer for the map came and went
    services.free_pool(second)
    assert services.core.memory_map.key == key + 4


@pytest.mark.parametrize("memory_type", [LOADER_DATA, BS_DATA, 0, 9, 10, 13])
def test_other_types_leave_it_alone(memory_type: int) -> None:
    services = machine_with_table()
    table = services.core.memory_attributes_table
    assert table is not None
    place = table.table
    services.free_pages(services.allocate_pages(ANY, memory_type, 1, 0).memory, 1)
    assert table.table == place


def test_a_call_that_fails_rebuilds_nothing() -> None:
    services = machine_with_table()
    key = services.core.memory_map.key
    services.allocate_pages(ANY, RT_DATA, TOP + 1, 0)
    services.free_pages(page(4), 1)
    assert services.core.memory_map.key == key


def test_a_table_that_outgrows_its_block_takes_a_larger_one() -> None:
    services = machine_with_table(split_entries=33)
    assert (TOP - 2, 1, BS_DATA) in shape(services)  # below the map's buffer, which is gone again
    table = services.core.memory_attributes_table
    assert table is not None
    assert table.table_size(services.core) == 16 + 33 * 48
    services.allocate_pages(ANY, RT_DATA, 1, 0)
    assert table.table_size(services.core) == 16 + 34 * 48
    assert services.core.memory_map.type_at(page(TOP - 2)) == CONVENTIONAL
    assert services.core.memory_map.type_at(table.table) == BS_DATA


def test_a_copied_machine_has_a_table_of_its_own() -> None:
    services = machine_with_table()
    twin = services.core.copy()
    assert twin.memory_attributes_table is not None
    twin.memory_attributes_table.rebuild(twin)
    assert services.core.memory_attributes_table is not None
    assert twin.memory_attributes_table.table != services.core.memory_attributes_table.table
