"""ACPI and SMBIOS in a machine: found by the configuration tables, in memory that an operating system leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import PAGE_SIZE
from tests.engine.programs import guest

ACPI = Guid("8868e871-e4f1-11d3-bc22-0080c73c8881")
SMBIOS = Guid("f2fd1544-9794-4a2c-992e-e5bbcf20e394")
CONFIGURATION = 112  # of EFI_SYSTEM_TABLE: where the array of configuration tables is
MOST_TABLES = 64


@pytest.fixture
def firmware() -> Iterator[GuestFirmware]:
    pytest.importorskip("unicorn", reason="the CPU engine is not installed: extra [cpu]")
    with guest() as (made, _):
        yield made


def kind(firmware: GuestFirmware, address: int) -> EfiMemoryType | int:
    entry = firmware.core.memory_map.find(address)
    assert entry is not None
    return entry.memory_type


def test_a_kernel_walks_from_the_configuration_table_to_its_acpi_tables(firmware: GuestFirmware) -> None:
    ram = firmware.ram
    pointer = firmware.core.configuration_tables[ACPI]
    root = ram.read(pointer, 36)
    assert root[:8] == b"RSD PTR "
    assert (sum(root[:20]) & 0xFF, sum(root) & 0xFF, root[15]) == (0, 0, 2)
    extended = ram.u64(pointer + 24)
    length = ram.u32(extended + 4)
    tables = [ram.u64(extended + at) for at in range(36, length, 8)]
    names = [ram.read(address, 4) for address in (extended, *tables)]
    assert {b"XSDT", b"APIC", b"FACP"} <= set(names)
    for address in (extended, *tables):
        assert sum(ram.read(address, ram.u32(address + 4))) & 0xFF == 0
    for address in (pointer, extended, *tables):
        assert kind(firmware, address) in (EfiMemoryType.EfiACPIMemoryNVS, EfiMemoryType.EfiACPIReclaimMemory)


def test_one_processor_is_named_for_the_one_that_runs(firmware: GuestFirmware) -> None:
    ram = firmware.ram
    extended = ram.u64(firmware.core.configuration_tables[ACPI] + 24)
    tables = [ram.u64(extended + at) for at in range(36, ram.u32(extended + 4), 8)]
    (interrupts,) = (address for address in tables if ram.read(address, 4) == b"APIC")
    data, at, processors = ram.read(interrupts, ram.u32(interrupts + 4)), 44, 0
    while at < len(data):
        processors += data[at] in (0, 9)  # local APIC, local x2APIC
        at += data[at + 1]
    assert processors == 1


def test_smbios_lies_in_runtime_memory_and_apart_from_the_system_table(firmware: GuestFirmware) -> None:
    ram = firmware.ram
    entry = firmware.core.configuration_tables[SMBIOS]
    assert ram.read(entry, 5) == b"_SM3_"
    assert sum(ram.read(entry, 24)) & 0xFF == 0
    start, size = ram.u64(entry + 16), ram.u32(entry + 12)
    assert ram.read(start + size - 6, 2) == b"\x7f\x04"  # the structure that ends the table
    for address in (entry, start, start + size - 1):
        assert kind(firmware, address) == EfiMemoryType.EfiRuntimeServicesData
    first = firmware.tables.system_table
    last = ram.u64(first + CONFIGURATION) + MOST_TABLES * 24
    for low, high in ((entry, entry + 24), (start, start + size)):
        assert high <= first or last <= low


@pytest.mark.parametrize("model", ["inteltdx", "ovmf-2022.11", "ovmf-2025.02", "ovmf-2026.08"])
@pytest.mark.parametrize("td", [True, False])
def test_several_vcpus_take_nothing_from_the_memory_map(model: str, td: bool) -> None:
    machine = Machine(TdOptions(vcpus=64, td=td, firmware_model=model))
    before = list(machine.services.core.memory_map)
    with closing(GuestFirmware(machine)) as firmware:
        assert list(machine.services.core.memory_map) == before
        mailbox = firmware.board.mailbox
        assert (mailbox is not None) is td
        if mailbox is not None:
            assert kind(firmware, mailbox.address) == EfiMemoryType.EfiRuntimeServicesData
            assert firmware.ram.read(mailbox.address, PAGE_SIZE) == bytes(PAGE_SIZE)


def test_all_of_them_are_in_accepted_memory(firmware: GuestFirmware) -> None:
    for address in firmware.core.configuration_tables.values():
        assert firmware.ram.accessible(address, 16)
