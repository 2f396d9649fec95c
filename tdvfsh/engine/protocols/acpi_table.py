"""EFI_ACPI_TABLE_PROTOCOL over the machine's ACPI tables.

The tables are those of ACPI 2.0 and later: there is an XSDT and no RSDT, as in edk2 where PcdAcpiExposedTableVersions
leaves ACPI 1.0 out. The firmware's own tables have the first keys, in the order in which OVMF installs QEMU's.

Source: UEFI 2.10 20.2; edk2 MdeModulePkg/Universal/Acpi/AcpiTableDxe/AcpiTableProtocol.c, for the memory that tables
get, the fields of FADT, XSDT and RSDP that follow, and the statuses.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.uefi.guids import EFI_ACPI_20_TABLE_GUID, EFI_ACPI_TABLE_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import PAGE_SIZE, align_up, pages_for

_HEADER_SIZE: Final = 36
_LENGTH, _CHECKSUM, _OEM_ID, _OEM_REVISION_END = 4, 9, 10, 28
_RSDP_OEM_ID, _RSDP_XSDT, _RSDP_SIZE = 9, 24, 36
_RSDP_CHECKSUMS: Final = ((8, 20), (32, 36))  # where it is, and of how many bytes
_FADT_FACS, _FADT_DSDT, _FADT_X_FACS, _FADT_X_DSDT = 36, 40, 132, 140
_FADT, _FACS, _DSDT, _UEFI = b"FACP", b"FACS", b"DSDT", b"UEFI"
_UNLISTED: Final = frozenset({_FADT, _FACS, _DSDT})  # the FADT has the first entry for itself
_4_GIB: Final = 1 << 32
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


@dataclass(frozen=True, slots=True)
class _Table:
    """A table; ``pages`` is 0 for one of the firmware's own, which share their pages."""

    signature: bytes
    address: int
    pages: int = 0


class _Room(NamedTuple):
    """Where the XSDT is, how long it can become, and the pages that are its own."""

    address: int
    size: int
    pages: int = 0


class AcpiTableProtocol:
    """The protocol.

    Args:
        context: Guest memory, with the RSDP in the configuration table.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = ram = context.ram
        self._rsdp = rsdp = context.core.configuration_tables[EFI_ACPI_20_TABLE_GUID]
        self._tables: dict[int, _Table] = {}
        xsdt = ram.u64(rsdp + _RSDP_XSDT)
        length = ram.u32(xsdt + _LENGTH)
        self._xsdt = _Room(xsdt, length)
        listed = [ram.u64(xsdt + at) for at in range(_HEADER_SIZE, length, 8)]
        fadt = next(table for table in listed if ram.read(table, 4) == _FADT)
        own = [ram.u64(fadt + _FADT_X_FACS), ram.u64(fadt + _FADT_X_DSDT), fadt]
        for address in own + [table for table in listed if table != fadt]:
            self._tables[len(self._tables) + 1] = _Table(ram.read(address, 4), address)
        self._next_key = len(self._tables) + 1

    def install(self) -> None:
        """Make the handle."""
        structure = self._context.interfaces.structure([self.install_acpi_table, self.uninstall_acpi_table])
        self._context.offer({EFI_ACPI_TABLE_PROTOCOL_GUID: structure})

    @service("EFI_ACPI_TABLE_PROTOCOL.InstallAcpiTable", "qqqq")
    def install_acpi_table(
        self, this: int, acpi_table_buffer: int, acpi_table_buffer_size: int, table_key: int
    ) -> EfiStatus:
        """Copy a table, give it its checksum and list it."""
        ram, size = self._ram, acpi_table_buffer_size
        if not acpi_table_buffer or not table_key or ram.u32(acpi_table_buffer + _LENGTH) != size:
            return _INVALID
        ram.put_u64(table_key, 0)
        signature = ram.read(acpi_table_buffer, 4)
        in_nvs = signature in (_FACS, _UEFI)  # which an operating system and firmware share
        address = self._allocate(EfiMemoryType.EfiACPIMemoryNVS if in_nvs else EfiMemoryType.EfiACPIReclaimMemory, size)
        if not address:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        table = _Table(signature, address, pages_for(size))
        for offset, part in self._context.slices(size):
            ram.write(address + offset, ram.read(acpi_table_buffer + offset, part))
        key, self._next_key = self._next_key, self._next_key + 1
        ram.put_u64(table_key, key)
        if signature in _UNLISTED and self._find(signature):
            self._free(table)
            return EfiStatus.EFI_ACCESS_DENIED
        if not self._make_room(len(self._listed()) + (signature not in _UNLISTED)):
            self._free(table)
            return EfiStatus.EFI_OUT_OF_RESOURCES
        self._tables[key] = table
        if signature == _FADT:
            self._take_names(address)
        elif signature != _FACS:  # which has no checksum
            self._sum(address, size, _CHECKSUM)
        return self._publish(signature)

    @service("EFI_ACPI_TABLE_PROTOCOL.UninstallAcpiTable", "qq")
    def uninstall_acpi_table(self, this: int, table_key: int) -> EfiStatus:
        """Take a table off the list, and free it."""
        table = self._tables.pop(table_key, None)
        if table is None:
            return EfiStatus.EFI_NOT_FOUND
        self._free(table)
        return self._publish(table.signature)

    # ---- memory -------------------------------------------------------------------------------------------------

    def _allocate(self, kind: EfiMemoryType, size: int) -> int:
        """Address of pages below 4 GiB, or 0."""
        below = EfiAllocateType.AllocateMaxAddress
        status, start = self._context.core.pages.allocate_pages(below, kind, pages_for(size), _4_GIB - 1)
        return 0 if status.is_error else start

    def _free(self, table: _Table) -> None:
        if table.pages:
            self._context.core.pages.free_pages(table.address, table.pages)

    def _make_room(self, entries: int) -> bool:
        """Have room for an XSDT: first in the rest of the RSDP's page, which is the last of the firmware's tables."""
        needed = _HEADER_SIZE + 8 * entries
        old = self._xsdt
        if needed <= old.size:
            return True
        rest = align_up(self._rsdp + _RSDP_SIZE, 16)
        new = _Room(rest, align_up(rest, PAGE_SIZE) - rest)
        if needed > new.size:
            pages = pages_for(needed)
            new = _Room(self._allocate(EfiMemoryType.EfiACPIReclaimMemory, needed), pages * PAGE_SIZE, pages)
            if not new.address:
                return False
        self._ram.write(new.address, self._ram.read(old.address, _HEADER_SIZE))
        self._ram.put_u64(self._rsdp + _RSDP_XSDT, new.address)
        if old.pages:
            self._context.core.pages.free_pages(old.address, old.pages)
        self._xsdt = new
        return True

    # ---- what is listed -----------------------------------------------------------------------------------------

    def _find(self, signature: bytes) -> int:
        """Address of the table of which there is one, or 0."""
        return next((table.address for table in self._tables.values() if table.signature == signature), 0)

    def _listed(self) -> list[int]:
        """Entries of the XSDT: the FADT, or 0 where there is none, and then the others."""
        others = (table.address for table in self._tables.values() if table.signature not in _UNLISTED)
        return [self._find(_FADT), *others]

    def _take_names(self, fadt: int) -> None:
        """RSDP and XSDT have the OEM's names of the FADT."""
        names = self._ram.read(fadt + _OEM_ID, _OEM_REVISION_END - _OEM_ID)
        self._ram.write(self._rsdp + _RSDP_OEM_ID, names[:6])
        self._ram.write(self._xsdt.address + _OEM_ID, names)

    def _publish(self, changed: bytes) -> EfiStatus:
        """Write FADT, XSDT and RSDP anew, and signal the configuration table's event group."""
        ram, xsdt = self._ram, self._xsdt.address
        fadt = self._find(_FADT)
        if fadt and changed in _UNLISTED:
            if changed in (_FACS, _FADT):
                facs = self._find(_FACS)
                ram.put_u32(fadt + _FADT_FACS, facs if facs < _4_GIB else 0)
                ram.put_u64(fadt + _FADT_X_FACS, 0 if facs < _4_GIB else facs)
            if changed in (_DSDT, _FADT):
                dsdt = self._find(_DSDT)
                ram.put_u32(fadt + _FADT_DSDT, dsdt if dsdt < _4_GIB else 0)
                ram.put_u64(fadt + _FADT_X_DSDT, dsdt)
            self._sum(fadt, ram.u32(fadt + _LENGTH), _CHECKSUM)
        listed = self._listed()
        size = _HEADER_SIZE + 8 * len(listed)
        ram.put_u32(xsdt + _LENGTH, size)
        ram.write(xsdt + _HEADER_SIZE, struct.pack(f"<{len(listed)}Q", *listed))
        self._sum(xsdt, size, _CHECKSUM)
        for offset, length in _RSDP_CHECKSUMS:
            self._sum(self._rsdp, length, offset)
        return self._context.services.install_configuration_table(EFI_ACPI_20_TABLE_GUID, self._rsdp)

    def _sum(self, address: int, size: int, offset: int) -> None:
        """Make the bytes' sum 0 by the one at ``offset``."""
        ram = self._ram
        ram.put_u8(address + offset, 0)
        total = sum(sum(ram.read(address + at, part)) for at, part in self._context.slices(size))
        ram.put_u8(address + offset, -total & 0xFF)
