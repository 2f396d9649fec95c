"""The memory map in the Shell's two forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.formats.maps.memory_maps import parse_memory_map
from tdvfsh.report.memmap_text import memmap_sfo, memmap_table
from tdvfsh.uefi.memory import MemoryDescriptor

RECORDINGS = sorted((Path(__file__).parents[1] / "recordings" / "memmap").iterdir())

SMALL = [
    MemoryDescriptor(7, 0, 0xA0, 0xF),
    MemoryDescriptor(4, 0x100000, 0x10, 0xF),
    MemoryDescriptor(0x80000001, 0x110000, 2, 0xF),
    MemoryDescriptor(15, 0x20000000, 0x20000, 0),
    MemoryDescriptor(0, 0xE0000000, 0x10000, 1),
]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_recorded_map_prints_as_firmware_printed_it(path: Path) -> None:
    data = path.read_bytes()
    descriptors = parse_memory_map(data, path.name)
    lines = memmap_sfo(descriptors) if path.suffix == ".sfo" else memmap_table(descriptors)
    assert lines == data.decode().replace("\r\n", "\n").rstrip("\n").split("\n")


def test_unaccepted_and_os_loader_memory_have_rows_and_count_in_the_total() -> None:
    assert "\n".join(memmap_table(SMALL)) == (
        "Type       Start            End              # Pages          Attributes\n"
        "Available  0000000000000000-000000000009FFFF 00000000000000A0 000000000000000F\n"
        "BS_Data    0000000000100000-000000000010FFFF 0000000000000010 000000000000000F\n"
        "80000001   0000000000110000-0000000000111FFF 0000000000000002 000000000000000F\n"
        "Unaccepted 0000000020000000-000000003FFFFFFF 0000000000020000 0000000000000000\n"
        "Reserved   00000000E0000000-00000000EFFFFFFF 0000000000010000 0000000000000001\n"
        " \n"
        "  Reserved  :         65,536 Pages (268,435,456 Bytes)\n"
        "  LoaderCode:              0 Pages (0 Bytes)\n"
        "  LoaderData:              0 Pages (0 Bytes)\n"
        "  BS_Code   :              0 Pages (0 Bytes)\n"
        "  BS_Data   :             16 Pages (65,536 Bytes)\n"
        "  RT_Code   :              0 Pages (0 Bytes)\n"
        "  RT_Data   :              0 Pages (0 Bytes)\n"
        "  ACPI_Recl :              0 Pages (0 Bytes)\n"
        "  ACPI_NVS  :              0 Pages (0 Bytes)\n"
        "  MMIO      :              0 Pages (0 Bytes)\n"
        "  MMIO_Port :              0 Pages (0 Bytes)\n"
        "  PalCode   :              0 Pages (0 Bytes)\n"
        "  Unaccepted:        131,072 Pages (536,870,912 Bytes)\n"
        "  Available :            160 Pages (655,360 Bytes)\n"
        "  Persistent:              0 Pages (0 Bytes)\n"
        "  80000001  :              2 Pages (8,192 Bytes)\n"
        "              -------------- \n"
        "Total Memory:            512 MB (537,600,000 Bytes)"
    )


def test_the_sfo_summary_has_unaccepted_bytes_before_the_last_value() -> None:
    assert memmap_sfo(SMALL)[-1] == (
        'MemoryMapSummary,"537600000","268435456","0","65536","0","0","0","0","655360","0","0","0","0","0","0",'
        '"536870912", "0"'
    )
