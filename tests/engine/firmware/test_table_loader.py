"""ACPI as fw_cfg files: what firmware makes of blobs and commands are tables that hold together."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.engine.firmware.table_loader import acpi_files, smbios_files
from tdvfsh.td.ram import RamLayout
from tdvfsh.units import GIB

PLACES = {"etc/acpi/tables": 0x7FB00000, "etc/acpi/rsdp": 0xF0000}


def linked(vcpus: int) -> dict[str, bytearray]:
    """The blobs as firmware leaves them, in memory at :data:`PLACES`."""
    files = acpi_files(vcpus)
    blobs = {name: bytearray(files[name]) for name in PLACES}
    loader = files["etc/table-loader"]
    for at in range(0, len(loader), 128):
        command = loader[at : at + 128]
        kind, name = struct.unpack_from("<I56s", command)
        file = name.rstrip(b"\0").decode()
        if kind == 2:
            source, offset, size = struct.unpack_from("<56sIB", command, 60)
            base = PLACES[source.rstrip(b"\0").decode()]
            value = int.from_bytes(blobs[file][offset : offset + size], "little") + base
            blobs[file][offset : offset + size] = value.to_bytes(size, "little")
        elif kind == 3:
            result, start, size = struct.unpack_from("<III", command, 60)
            assert blobs[file][result] == 0
            blobs[file][result] = -sum(blobs[file][start : start + size]) & 0xFF
    return blobs


@pytest.mark.parametrize("vcpus", [1, 4])
def test_linked_tables_are_found_from_the_rsdp_and_their_sums_are_0(vcpus: int) -> None:
    blobs = linked(vcpus)
    rsdp, tables = blobs["etc/acpi/rsdp"], blobs["etc/acpi/tables"]
    assert rsdp[:8] == b"RSD PTR "
    assert sum(rsdp[:20]) % 256 == sum(rsdp[:36]) % 256 == 0

    def table(address: int) -> bytes:
        at = address - PLACES["etc/acpi/tables"]
        data = bytes(tables[at : at + int.from_bytes(tables[at + 4 : at + 8], "little")])
        assert data[:4] == b"FACS" or sum(data) % 256 == 0
        return data

    xsdt = table(int.from_bytes(rsdp[24:32], "little"))
    entries = {data[:4]: data for data in map(table, struct.unpack_from(f"<{(len(xsdt) - 36) // 8}Q", xsdt, 36))}
    assert set(entries) == {b"FACP", b"APIC"}
    facs, dsdt = struct.unpack_from("<QQ", entries[b"FACP"], 132)
    assert (table(facs)[:4], table(dsdt)[:4]) == (b"FACS", b"DSDT")
    assert struct.unpack_from("<II", entries[b"FACP"], 36) == (facs, dsdt)


def test_smbios_has_its_entry_point_and_its_structures_apart() -> None:
    files = smbios_files(RamLayout.q35(2 * GIB), 2)
    anchor, structures = files["etc/smbios/smbios-anchor"], files["etc/smbios/smbios-tables"]
    assert anchor[:5] == b"_SM3_"
    assert sum(anchor) % 256 == 0
    assert structures[0] == 1  # who made the firmware is its own to say
    assert b"\0QEMU\0Standard PC (Q35" in structures
    assert int.from_bytes(anchor[12:16], "little") == len(structures)
