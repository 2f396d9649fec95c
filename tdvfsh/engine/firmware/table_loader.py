"""ACPI tables and SMBIOS as fw_cfg files: blobs, and the commands by which firmware links them.

Source: QEMU hw/acpi/bios-linker-loader.c, hw/i386/acpi-build.c (names, padding), hw/smbios/smbios.c.
"""

from __future__ import annotations

import struct
from typing import Final

from tdvfsh.engine.tables.acpi import acpi_tables
from tdvfsh.engine.tables.pci_host import PciHost
from tdvfsh.engine.tables.smbios import smbios_tables
from tdvfsh.td.ram import RamLayout
from tdvfsh.units import KIB, PAGE_SIZE, align_up

_TABLES: Final = "etc/acpi/tables"
_RSDP: Final = "etc/acpi/rsdp"
_LOADER: Final = "etc/table-loader"
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


def acpi_files(vcpus: int, pci: PciHost | None = None) -> dict[str, bytes]:
    """The three files of the ACPI tables; addresses in them are offsets until firmware has placed them.

    Args:
        vcpus: Processors. Firmware of a TD adds the wakeup mailbox by itself.
        pci: The PCI host bridge as firmware has set it up.
    """
    made = acpi_tables(0, vcpus, pci=pci)
    tables = bytearray(made.data[: made.rsdp])
    rsdp = bytearray(made.data[made.rsdp : made.rsdp + _RSDP_SIZE])
    commands = [_allocate(_RSDP, 16, _SEGMENT_F), _allocate(_TABLES, 64, _HIGH)]
    for at, signature, size in _places(tables, made.nvs_size):
        pointers: tuple[tuple[int, int], ...] = _POINTERS.get(signature, ())
        if signature == b"XSDT":
            pointers = tuple((offset, 8) for offset in range(_HEADER_SIZE, size, 8))
        commands += [_pointer(_TABLES, at + offset, width) for offset, width in pointers]
        if signature != _NO_CHECKSUM:
            commands.append(_checksum(_TABLES, tables, at + _CHECKSUM_OFFSET, at, size))
    commands += [_pointer(_RSDP, 24, 8), _checksum(_RSDP, rsdp, 8, 0, 20), _checksum(_RSDP, rsdp, 32, 0, _RSDP_SIZE)]
    return {
        _TABLES: bytes(tables.ljust(_TABLES_SIZE, b"\0")),
        _RSDP: bytes(rsdp),
        _LOADER: b"".join(commands).ljust(_LOADER_SIZE, b"\0"),
    }


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
    return _command("<I56s56sIB", _ADD_POINTER, destination.encode(), _TABLES.encode(), offset, size)


def _checksum(file: str, data: bytearray, result: int, start: int, size: int) -> bytes:
    """Firmware adds the byte up that it replaces: it is 0 until then."""
    data[result] = 0
    return _command("<I56sIII", _ADD_CHECKSUM, file.encode(), result, start, size)
