"""ACPI and SMBIOS for an operating system: written into the firmware's memory and named in the configuration tables.

Source: UEFI 2.10 4.6.
"""

from __future__ import annotations

from tdvfsh.engine.abi.memory import find_area
from tdvfsh.engine.abi.system_table import SystemTables
from tdvfsh.engine.tables.acpi import acpi_tables
from tdvfsh.engine.tables.pci_host import PciHost
from tdvfsh.engine.tables.smbios import smbios_tables
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.machine.machine import Machine
from tdvfsh.uefi.guids import EFI_ACPI_20_TABLE_GUID, EFI_ACPI_TABLE_GUID, SMBIOS3_TABLE_GUID
from tdvfsh.uefi.memory import EfiMemoryType


def install_machine_tables(
    machine: Machine, ram: GuestRam, area: int, vcpus: int, mailbox: int, pci: PciHost | None = None
) -> None:
    """Write both.

    SMBIOS follows the system table in runtime memory: Linux maps tables that lie elsewhere as shared memory.

    Args:
        machine: The machine.
        ram: Its memory.
        area: Address of the system table's page.
        vcpus: Processors.
        mailbox: Address of the mailbox that wakes all but the first, 0 where there is none.
        pci: The PCI host bridge; None for none that the system should know of.
    """
    tables = machine.services.core.configuration_tables
    base = find_area(machine, EfiMemoryType.EfiACPIReclaimMemory, len(acpi_tables(0, vcpus, mailbox, pci).data))
    acpi = acpi_tables(base, vcpus, mailbox, pci)
    ram.write(base, acpi.data)
    if acpi.rsdp_1:
        tables[EFI_ACPI_TABLE_GUID] = acpi.rsdp_1
    tables[EFI_ACPI_20_TABLE_GUID] = acpi.rsdp
    layout = machine.td.ram
    base = area + SystemTables.USED
    smbios = smbios_tables(base, layout.memory, vcpus, layout.spans)
    if len(smbios.data) > SystemTables.SIZE - SystemTables.USED:  # a map with very many pieces
        smbios = smbios_tables(base, layout.memory, vcpus)
    ram.write(base, smbios.data)
    tables[SMBIOS3_TABLE_GUID] = smbios.entry_point
