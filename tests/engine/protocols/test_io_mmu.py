"""EDKII_IOMMU_PROTOCOL of a TD, called as a program would: what is copied when, and what it costs."""

from __future__ import annotations

import pytest

from tdvfsh.machine import TdOptions
from tdvfsh.trace.records import DmaAccept
from tdvfsh.uefi.guids import EDKII_IOMMU_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, PAGE_SIZE
from tests.engine.client import Client
from tests.engine.programs import guest

SET_ATTRIBUTE, MAP, UNMAP, ALLOCATE_BUFFER, FREE_BUFFER = range(1, 6)
READ, WRITE, COMMON, READ_64, WRITE_64, COMMON_64 = range(6)
BOOT_DATA, LOADER_DATA = 4, 2
INVALID, UNSUPPORTED = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_UNSUPPORTED


class IoMmu:
    """The protocol."""

    def __init__(self, client: Client) -> None:
        self.client, self.ram, self.room = client, client.ram, client.room
        self.address = client.protocol(EDKII_IOMMU_PROTOCOL_GUID)

    def call(self, function: int, *arguments: int) -> int:
        return self.client.member(self.address, function, self.address, *arguments)

    def map(self, operation: int, host: int, size: int) -> tuple[int, int, int]:
        """Status, device address, mapping."""
        self.ram.put_u64(self.room, size)
        status = self.call(MAP, operation, host, self.room, self.room + 8, self.room + 16)
        return status, self.ram.u64(self.room + 8), self.ram.u64(self.room + 16)

    def buffer(self, pages: int) -> int:
        assert self.call(ALLOCATE_BUFFER, 0, BOOT_DATA, pages, self.room, 0) == SUCCESS
        return self.ram.u64(self.room)

    def accepted(self) -> list[int]:
        """Pages accepted again, each time."""
        records = self.client.firmware.machine.trace
        return [record.pages for record in records if isinstance(record, DmaAccept) and "bus master" in record.why]


@pytest.fixture
def io_mmu(client: Client) -> IoMmu:
    return IoMmu(client)


@pytest.mark.parametrize(("operation", "there", "back"), [
    (READ, b"out", b"out"), (READ_64, b"out", b"out"), (WRITE, None, b"in!"), (WRITE_64, None, b"in!"),
])  # fmt: skip
def test_a_transfer_is_copied_in_its_direction(io_mmu: IoMmu, operation: int, there: bytes | None, back: bytes) -> None:
    host = io_mmu.client.put(b"out")
    status, device, mapping = io_mmu.map(operation, host, 3)
    assert status == SUCCESS
    assert device % PAGE_SIZE == 0
    assert device < 4 * GIB
    assert there in (None, io_mmu.ram.read(device, 3))
    io_mmu.ram.write(device, b"in!")
    access = 1 if operation in (READ, READ_64) else 2
    assert [io_mmu.call(SET_ATTRIBUTE, 1, mapping, one) for one in (access, 3 - access, 3, 0)] == [
        SUCCESS, INVALID, INVALID, SUCCESS,
    ]  # fmt: skip
    assert io_mmu.call(UNMAP, mapping) == SUCCESS
    assert io_mmu.ram.read(host, 3) == back
    assert io_mmu.call(UNMAP, mapping) == io_mmu.call(UNMAP, 0) == io_mmu.call(SET_ATTRIBUTE, 1, mapping, 1) == INVALID


def test_a_common_buffer_is_mapped_where_it_is_and_nothing_else_can_be(io_mmu: IoMmu) -> None:
    before = io_mmu.client.firmware.services.memory_map_view().descriptors
    buffer = io_mmu.buffer(2)
    for operation in (COMMON, COMMON_64):
        status, device, mapping = io_mmu.map(operation, buffer, 5000)
        assert (status, device) == (SUCCESS, buffer)
        assert io_mmu.call(SET_ATTRIBUTE, 1, mapping, 3) == SUCCESS
        assert io_mmu.call(UNMAP, mapping) == SUCCESS
    assert io_mmu.map(COMMON, io_mmu.client.put(bytes(16)), 16)[0] == INVALID
    assert io_mmu.ram.u64(io_mmu.room) == 0
    assert io_mmu.map(COMMON, 5 * GIB, 16)[0] == UNSUPPORTED
    assert io_mmu.map(6, buffer, 16)[0] == io_mmu.map(READ, 0, 16)[0] == INVALID
    assert io_mmu.call(FREE_BUFFER, 1, buffer) == INVALID
    assert io_mmu.call(FREE_BUFFER, 2, buffer) == SUCCESS
    assert io_mmu.client.firmware.services.memory_map_view().descriptors == before


def test_a_buffer_is_refused_as_in_edk2(io_mmu: IoMmu) -> None:
    assert io_mmu.call(ALLOCATE_BUFFER, 0, BOOT_DATA, 1, 0, 1) == UNSUPPORTED
    assert io_mmu.call(ALLOCATE_BUFFER, 0, BOOT_DATA, 1, 0, 0) == INVALID
    assert io_mmu.call(ALLOCATE_BUFFER, 0, LOADER_DATA, 1, io_mmu.room, 0) == INVALID
    assert io_mmu.call(ALLOCATE_BUFFER, 0, BOOT_DATA, 1 << 40, io_mmu.room, 0) == EfiStatus.EFI_OUT_OF_RESOURCES


def test_buffers_of_the_pool_cost_nothing_and_those_outside_two_calls_for_each_page(io_mmu: IoMmu) -> None:
    td = io_mmu.client.firmware.machine.td
    calls, where = td.map_gpa_calls, 512 * PAGE_SIZE
    source = io_mmu.buffer(1)  # pages that a program has
    mappings = [io_mmu.map(READ, source, where - 1)[2] for _ in range(2)]  # the pool's two buffers of 512 pages
    assert io_mmu.call(UNMAP, mappings.pop()) == SUCCESS
    assert (td.map_gpa_calls, io_mmu.accepted()) == (calls, [])
    mappings += [io_mmu.map(READ, source, where)[2] for _ in range(2)]
    assert io_mmu.call(UNMAP, mappings.pop()) == SUCCESS
    assert (td.map_gpa_calls - calls, io_mmu.accepted()) == (2 * 512, [512])


def test_firmware_without_a_pool_converts_each_page() -> None:
    with guest(TdOptions(firmware_model="ovmf-2022.11")) as (firmware, output):
        io_mmu = IoMmu(Client(firmware, output))
        calls = firmware.machine.td.map_gpa_calls
        mapping = io_mmu.map(WRITE, io_mmu.client.put(bytes(8)), 8)[2]
        assert io_mmu.call(UNMAP, mapping) == SUCCESS
        assert firmware.machine.td.map_gpa_calls - calls == 2
        assert io_mmu.accepted() == [1]


def test_a_plain_vm_has_no_io_mmu() -> None:
    with guest(TdOptions(td=False)) as (firmware, _):
        assert firmware.services.handles.locate_handles(EDKII_IOMMU_PROTOCOL_GUID) == []
