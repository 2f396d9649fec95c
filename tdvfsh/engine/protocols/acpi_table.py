"""EFI_ACPI_TABLE_PROTOCOL over the machine's ACPI tables.

An XSDT and an RSDT list them, for ACPI 2.0 and 1.0, as PcdAcpiExposedTableVersions has it in OVMF. The firmware's own
tables have the first keys, in the order in which OVMF installs QEMU's.

Source: UEFI 2.10 20.2; edk2 MdeModulePkg/Universal/Acpi/AcpiTableDxe/AcpiTableProtocol.c, for the memory that tables
get, the fields of FADT, XSDT and RSDP that follow, and the statuses.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import EFI_ACPI_20_TABLE_GUID, EFI_ACPI_TABLE_GUID, EFI_ACPI_TABLE_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE, align_up, pages_for

_HEADER_SIZE: Final = 36
_LENGTH, _CHECKSUM, _OEM_ID, _OEM_REVISION_END = 4, 9, 10, 28
_RSDP_OEM_ID, _RSDP_RSDT, _RSDP_XSDT, _RSDP_SIZE = 9, 16, 24, 36
_RSDT_ENTRY, _XSDT_ENTRY = 4, 8
_ENTRY_CODES: Final = {_RSDT_ENTRY: "I", _XSDT_ENTRY: "Q"}
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
    """Where the XSDT or the RSDT is, how long it can become, and the pages that are its own."""

    address: int
    size: int
    pages: int = 0


class AcpiTableProtocol:
    """The protocol.

    Args:
        context: Guest memory, with the RSDPs in the configuration table.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = ram = context.ram
        self._rsdp = rsdp = context.core.configuration_tables[EFI_ACPI_20_TABLE_GUID]
        self._rsdps = {EFI_ACPI_20_TABLE_GUID: rsdp}
        self._tables: dict[int, _Table] = {}
        xsdt = ram.u64(rsdp + _RSDP_XSDT)
        length = ram.u32(xsdt + _LENGTH)
        self._lists = {_XSDT_ENTRY: _Room(xsdt, length)}
        rsdp_1, rsdt = context.core.configuration_tables.get(EFI_ACPI_TABLE_GUID), ram.u32(rsdp + _RSDP_RSDT)
        if rsdp_1 is not None:  # not where RAM is above 4 GiB alone
            self._rsdps = {EFI_ACPI_TABLE_GUID: rsdp_1} | self._rsdps
            self._lists[_RSDT_ENTRY] = _Room(rsdt, ram.u32(rsdt + _LENGTH))
        rest = align_up(rsdp + _RSDP_SIZE, 16)  # of the RSDP's page, which is the last of the firmware's tables
        self._rest = _Room(rest, align_up(rest, PAGE_SIZE) - rest)
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
        """Have room for both lists: first in the rest of the firmware's last page, then in pages of their own."""
        return all(self._room_for(width, _HEADER_SIZE + width * entries) for width in self._lists)

    def _room_for(self, width: int, needed: int) -> bool:
        old = self._lists[width]
        if needed <= old.size:
            return True
        half = self._rest.size // 2 & -16
        if needed <= half:
            new, self._rest = _Room(self._rest.address, half), _Room(self._rest.address + half, self._rest.size - half)
        else:
            pages = pages_for(needed)
            new = _Room(self._allocate(EfiMemoryType.EfiACPIReclaimMemory, needed), pages * PAGE_SIZE, pages)
            if not new.address:
                return False
        self._ram.write(new.address, self._ram.read(old.address, _HEADER_SIZE))
        if old.pages:
            self._context.core.pages.free_pages(old.address, old.pages)
        self._lists[width] = new
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
        """RSDPs, XSDT and RSDT have the OEM's names of the FADT."""
        names = self._ram.read(fadt + _OEM_ID, _OEM_REVISION_END - _OEM_ID)
        for rsdp in self._rsdps.values():
            self._ram.write(rsdp + _RSDP_OEM_ID, names[:6])
        for room in self._lists.values():
            self._ram.write(room.address + _OEM_ID, names)

    def _publish(self, changed: bytes) -> EfiStatus:
        """Write FADT, lists and RSDPs anew, and signal the configuration tables' event groups."""
        ram = self._ram
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
        for width, room in self._lists.items():
            size = _HEADER_SIZE + width * len(listed)
            ram.put_u32(room.address + _LENGTH, size)
            ram.write(room.address + _HEADER_SIZE, struct.pack(f"<{len(listed)}{_ENTRY_CODES[width]}", *listed))
            self._sum(room.address, size, _CHECKSUM)
        ram.put_u64(self._rsdp + _RSDP_XSDT, self._lists[_XSDT_ENTRY].address)
        status = SUCCESS
        for guid, rsdp in self._rsdps.items():
            if _RSDT_ENTRY in self._lists:
                ram.put_u32(rsdp + _RSDP_RSDT, self._lists[_RSDT_ENTRY].address)
            for offset, length in _RSDP_CHECKSUMS if rsdp == self._rsdp else _RSDP_CHECKSUMS[:1]:
                self._sum(rsdp, length, offset)
            status = self._context.services.install_configuration_table(guid, rsdp)
        return status

    def _sum(self, address: int, size: int, offset: int) -> None:
        """Make the bytes' sum 0 by the one at ``offset``."""
        ram = self._ram
        ram.put_u8(address + offset, 0)
        total = sum(sum(ram.read(address + at, part)) for at, part in self._context.slices(size))
        ram.put_u8(address + offset, -total & 0xFF)
