"""ACPI and SMBIOS for an operating system: written into the firmware's memory and named in the configuration tables.

Source: UEFI 2.10 4.6 for the GUIDs.
"""

from __future__ import annotations

from typing import Final

from tdvfsh.engine.abi.memory import find_area
from tdvfsh.engine.abi.system_table import SystemTables
from tdvfsh.engine.tables.acpi import acpi_tables
from tdvfsh.engine.tables.smbios import smbios_tables
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.machine.machine import Machine
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.memory import EfiMemoryType

ACPI_20_TABLE_GUID: Final = Guid("8868e871-e4f1-11d3-bc22-0080c73c8881")
SMBIOS3_TABLE_GUID: Final = Guid("f2fd1544-9794-4a2c-992e-e5bbcf20e394")


def install_machine_tables(machine: Machine, ram: GuestRam, area: int, vcpus: int, mailbox: int) -> None:
    """Write both.

    SMBIOS stands behind the system table in runtime memory: Linux maps tables that lie elsewhere as shared memory.

    Args:
        machine: The machine.
        ram: Its memory.
        area: Address of the system table's page.
        vcpus: Processors.
        mailbox: Address of the mailbox that wakes all but the first, 0 where there is none.
    """
    tables = machine.services.core.configuration_tables
    base = find_area(machine, EfiMemoryType.EfiACPIReclaimMemory, len(acpi_tables(0, vcpus, mailbox).data))
    acpi = acpi_tables(base, vcpus, mailbox)
    ram.write(base, acpi.data)
    tables[ACPI_20_TABLE_GUID] = acpi.rsdp
    layout = machine.td.ram
    base = area + SystemTables.USED
    smbios = smbios_tables(base, layout.memory, vcpus, layout.spans)
    if len(smbios.data) > SystemTables.SIZE - SystemTables.USED:  # a map with very many pieces
        smbios = smbios_tables(base, layout.memory, vcpus)
    ram.write(base, smbios.data)
    tables[SMBIOS3_TABLE_GUID] = smbios.entry_point
