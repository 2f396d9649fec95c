"""ACPI and SMBIOS for an operating system: written into the firmware's memory and named in the configuration tables.

Source: UEFI 2.10 4.6 for the GUIDs.
"""

from __future__ import annotations

from typing import Final

from tdvfsh.engine.acpi_tables import acpi_tables
from tdvfsh.engine.firmware_area import find_area
from tdvfsh.engine.ram import GuestRam
from tdvfsh.engine.smbios_tables import smbios_tables
from tdvfsh.engine.tables import SystemTables
from tdvfsh.machine.machine import Machine
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.memory import EfiMemoryType

ACPI_20_TABLE_GUID: Final = Guid("8868e871-e4f1-11d3-bc22-0080c73c8881")
SMBIOS3_TABLE_GUID: Final = Guid("f2fd1544-9794-4a2c-992e-e5bbcf20e394")


def install_machine_tables(machine: Machine, ram: GuestRam, vcpus: int) -> None:
    """Write both, for a machine of which ``vcpus`` processors run."""
    tables = machine.services.core.configuration_tables
    base = find_area(machine, EfiMemoryType.EfiACPIMemoryNVS, len(acpi_tables(0, vcpus).data))
    acpi = acpi_tables(base, vcpus)
    ram.write(base, acpi.data)
    tables[ACPI_20_TABLE_GUID] = acpi.rsdp
    layout = machine.td.ram
    size = len(smbios_tables(0, layout.memory, vcpus, layout.spans).data)
    kind = EfiMemoryType.EfiRuntimeServicesData  # Linux maps tables elsewhere as shared memory
    base = find_area(machine, kind, SystemTables.SIZE + size) + SystemTables.SIZE
    smbios = smbios_tables(base, layout.memory, vcpus, layout.spans)
    ram.write(base, smbios.data)
    tables[SMBIOS3_TABLE_GUID] = smbios.entry_point
