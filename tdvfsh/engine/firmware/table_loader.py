"""ACPI tables and SMBIOS as fw_cfg files: blobs, and the commands by which firmware links them.

Source: QEMU hw/acpi/bios-linker-loader.c, hw/i386/acpi-build.c (names, padding), hw/smbios/smbios.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tdvfsh.engine.tables.acpi import acpi_tables
from tdvfsh.engine.tables.pci_host import PciHost
from tdvfsh.engine.tables.smbios import smbios_tables
from tdvfsh.errors import FormatError
from tdvfsh.lazy_typing import Final
from tdvfsh.td.ram import RamLayout
from tdvfsh.units import KIB, PAGE_SIZE, align_up

TABLES: Final = "etc/acpi/tables"
RSDP: Final = "etc/acpi/rsdp"
LOADER: Final = "etc/table-loader"
_TABLES_SIZE: Final = 128 * KIB  # QEMU pads so that sizes stay the same over migrations
_LOADER_SIZE: Final = 4 * KIB
_COMMAND_SIZE: Final = 128
_RSDP_SIZE: Final = 36
_ALLOCATE, _ADD_POINTER, _ADD_CHECKSUM = 1, 2, 3
_HIGH, _SEGMENT_F = 1, 2
_CHECKSUM_OFFSET: Final = 9
_ENTRY_POINT_SIZE: Final = 24
_STRUCTURES_OFFSET: Final = 32
_POINTERS: Final = {b"FACP": ((36, 4), (40, 4), (132, 8), (140, 8))}
_HEADER_SIZE: Final = 36
_NO_CHECKSUM: Final = b"FACS"
_QEMU_POINTERS: Final = {b"FACP": ((36, 4), (40, 4), (140, 8))}
_RSDP1_SIZE: Final = 20
_RSDT_POINTER: Final = 16


def acpi_files(vcpus: int, pci: PciHost | None = None) -> dict[str, bytes]:
    """The three files of the ACPI tables; addresses in them are offsets until firmware has placed them.

    Args:
        vcpus: Processors. Firmware of a TD adds the wakeup mailbox by itself.
        pci: The PCI host bridge as firmware has set it up.
    """
    made = acpi_tables(0, vcpus, pci=pci)
    tables = bytearray(made.data[: made.rsdp])
    rsdp = bytearray(made.data[made.rsdp : made.rsdp + _RSDP_SIZE])
    commands = [_allocate(RSDP, 16, _SEGMENT_F), _allocate(TABLES, 64, _HIGH)]
    for at, signature, size in _places(tables, made.nvs_size):
        pointers: tuple[tuple[int, int], ...] = _POINTERS.get(signature, ())
        if signature == b"XSDT":
            pointers = tuple((offset, 8) for offset in range(_HEADER_SIZE, size, 8))
        commands += [_pointer(TABLES, at + offset, width) for offset, width in pointers]
        if signature != _NO_CHECKSUM:
            commands.append(_checksum(TABLES, tables, at + _CHECKSUM_OFFSET, at, size))
    commands += [_pointer(RSDP, 24, 8), _checksum(RSDP, rsdp, 8, 0, 20), _checksum(RSDP, rsdp, 32, 0, _RSDP_SIZE)]
    return {
        TABLES: bytes(tables.ljust(_TABLES_SIZE, b"\0")),
        RSDP: bytes(rsdp),
        LOADER: b"".join(commands).ljust(_LOADER_SIZE, b"\0"),
    }


def linked_by_qemu(tables: bytes, path: str) -> dict[str, bytes]:
    """The three files from QEMU's tables alone: the RSDP, and the commands in the order in which QEMU makes them.

    Args:
        tables: The file ``etc/acpi/tables``, whose tables stand in the order in which they were built: FACS, DSDT,
            FADT, others, RSDT. Pointers in them are offsets.
        path: Its name for messages.

    Raises:
        FormatError: They are not QEMU's tables.
    """
    data = bytearray(tables)
    rsdp = bytearray(b"RSD PTR \0BOCHS \0".ljust(_RSDP1_SIZE, b"\0"))
    commands = [_allocate(RSDP, 16, _SEGMENT_F), _allocate(TABLES, 64, _HIGH)]
    rsdt = None
    for at, signature, size in _tables_in_a_row(data, path):
        if signature == _NO_CHECKSUM:
            continue
        pointers: tuple[tuple[int, int], ...] = _QEMU_POINTERS.get(signature, ())
        if signature == b"RSDT":
            rsdt = at
            pointers = tuple((offset, 4) for offset in range(_HEADER_SIZE, size, 4))
        commands += [_pointer(TABLES, at + offset, width) for offset, width in pointers]
        commands.append(_checksum(TABLES, data, at + _CHECKSUM_OFFSET, at, size))
    if rsdt is None:
        raise FormatError(path, "no RSDT among these tables: they are not the file etc/acpi/tables of QEMU's q35")
    rsdp[_RSDT_POINTER : _RSDT_POINTER + 4] = rsdt.to_bytes(4, "little")
    commands += [_pointer(RSDP, _RSDT_POINTER, 4), _checksum(RSDP, rsdp, 8, 0, _RSDP1_SIZE)]
    return {TABLES: bytes(data), RSDP: bytes(rsdp), LOADER: b"".join(commands).ljust(_LOADER_SIZE, b"\0")}


def _tables_in_a_row(data: bytearray, path: str) -> Iterator[tuple[int, bytes, int]]:
    """Offset, signature and size of each table up to the zeros that QEMU pads with."""
    at = 0
    while at + 8 <= len(data) and data[at : at + 4].strip(b"\0"):
        signature, size = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "little")
        if not _HEADER_SIZE <= size <= len(data) - at or not signature.isalnum():
            raise FormatError(path, "not the file etc/acpi/tables of QEMU: tables do not follow each other", at)
        yield at, signature, size
        at += size


def smbios_files(ram: RamLayout, vcpus: int) -> dict[str, bytes]:
    """The SMBIOS entry point and structures, which firmware copies and links by itself."""
    made = smbios_tables(0, ram.memory, vcpus, ram.spans, as_qemu=True).data
    return {"etc/smbios/smbios-anchor": made[:_ENTRY_POINT_SIZE], "etc/smbios/smbios-tables": made[_STRUCTURES_OFFSET:]}


def _places(tables: bytearray, first: int) -> list[tuple[int, bytes, int]]:
    """Offset, signature and size of each table: FACS first, then those with headers, one after the other."""
    places = [(0, bytes(tables[:4]), int.from_bytes(tables[4:8], "little"))]
    at = align_up(first, PAGE_SIZE)
    while at + _HEADER_SIZE <= len(tables) and tables[at : at + 4].strip(b"\0"):
        size = int.from_bytes(tables[at + 4 : at + 8], "little")
        places.append((at, bytes(tables[at : at + 4]), size))
        at = align_up(at + size, 16)
    return places


def _command(form: str, *fields: object) -> bytes:
    return struct.pack(form, *fields).ljust(_COMMAND_SIZE, b"\0")


def _allocate(file: str, alignment: int, zone: int) -> bytes:
    return _command("<I56sIB", _ALLOCATE, file.encode(), alignment, zone)


def _pointer(destination: str, offset: int, size: int) -> bytes:
    return _command("<I56s56sIB", _ADD_POINTER, destination.encode(), TABLES.encode(), offset, size)


def _checksum(file: str, data: bytearray, result: int, start: int, size: int) -> bytes:
    """Firmware adds the byte up that it replaces: it is 0 until then."""
    data[result] = 0
    return _command("<I56sIII", _ADD_CHECKSUM, file.encode(), result, start, size)
