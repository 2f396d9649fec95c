"""ACPI tables of a real VMM: the three fw_cfg files read as they are, or made from the tables as QEMU makes them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tdvfsh.engine.firmware.vmm_tables import read_vmm_tables
from tdvfsh.errors import FormatError, HostError, UsageError

TABLES, RSDP, LOADER = "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader"


def table(signature: bytes, size: int, body: bytes = b"") -> bytes:
    return (signature + struct.pack("<I", size) + bytes(28) + body).ljust(size, b"\0")


def qemu_tables() -> bytes:
    """FACS, DSDT, FADT, two others and RSDT, one after the other, then zeros."""
    parts = [table(b"FACS", 64), table(b"DSDT", 100), table(b"FACP", 244), table(b"APIC", 120), table(b"MCFG", 60)]
    return b"".join([*parts, table(b"RSDT", 36 + 3 * 4)]).ljust(0x20000, b"\0")


def commands(loader: bytes) -> list[tuple[object, ...]]:
    """The commands as QEMU's documentation has them."""
    found: list[tuple[object, ...]] = []
    for at in range(0, len(loader), 128):
        (kind,) = struct.unpack_from("<I", loader, at)
        if kind == 1:
            name, alignment, zone = struct.unpack_from("<56sIB", loader, at + 4)
            found.append(("allocate", name.rstrip(b"\0").decode(), alignment, zone))
        elif kind == 2:
            name, source, offset, size = struct.unpack_from("<56s56sIB", loader, at + 4)
            found.append(("pointer", name.rstrip(b"\0").decode(), source.rstrip(b"\0").decode(), offset, size))
        elif kind == 3:
            name, result, start, size = struct.unpack_from("<56sIII", loader, at + 4)
            found.append(("checksum", name.rstrip(b"\0").decode(), result, start, size))
        else:
            assert not any(loader[at:])
            break
    return found


def test_from_the_tables_alone_qemu_s_other_two_files_are_made(tmp_path: Path) -> None:
    path = tmp_path / "tables"
    path.write_bytes(qemu_tables())
    files = read_vmm_tables(str(path))
    assert files[TABLES] == qemu_tables()
    dsdt, fadt, apic, mcfg, rsdt = 64, 164, 408, 528, 588
    assert files[RSDP] == b"RSD PTR \0BOCHS \0" + struct.pack("<I", rsdt)
    assert len(files[LOADER]) == 0x1000
    assert commands(files[LOADER]) == [
        ("allocate", RSDP, 16, 2),
        ("allocate", TABLES, 64, 1),
        ("checksum", TABLES, dsdt + 9, dsdt, 100),
        *(("pointer", TABLES, TABLES, fadt + at, size) for at, size in ((36, 4), (40, 4), (140, 8))),
        ("checksum", TABLES, fadt + 9, fadt, 244),
        ("checksum", TABLES, apic + 9, apic, 120),
        ("checksum", TABLES, mcfg + 9, mcfg, 60),
        *(("pointer", TABLES, TABLES, rsdt + 36 + 4 * number, 4) for number in range(3)),
        ("checksum", TABLES, rsdt + 9, rsdt, 48),
        ("pointer", RSDP, TABLES, 16, 4),
        ("checksum", RSDP, 8, 0, 20),
    ]


@pytest.mark.parametrize("layout", ["acpi/{}/raw", "etc/acpi/{}/raw", "acpi/{}", "{}"])
def test_a_folder_has_them_as_a_guest_s_sysfs_or_plainly(tmp_path: Path, layout: str) -> None:
    loader = read_loader()
    for name, data in (("tables", b"tables"), ("rsdp", b"rsdp"), ("table-loader", loader)):
        place = layout.replace("acpi/", "") if name == "table-loader" else layout
        path = tmp_path / place.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert read_vmm_tables(str(tmp_path)) == {TABLES: b"tables", RSDP: b"rsdp", LOADER: loader}


def read_loader() -> bytes:
    return struct.pack("<I56sIB", 1, RSDP.encode(), 16, 2).ljust(128, b"\0")


def test_a_folder_with_tables_only_is_as_good_as_the_file(tmp_path: Path) -> None:
    (tmp_path / "tables").write_bytes(qemu_tables())
    assert read_vmm_tables(str(tmp_path)) == read_vmm_tables(str(tmp_path / "tables"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ACPI tables of no bytes"),
        (bytes(4 * 1024 * 1024 + 1), "more than 4,194,304 bytes"),
        (bytes(100), "no RSDT among these tables"),
        (table(b"DSDT", 100), "no RSDT among these tables"),
        (table(b"DSDT", 36)[:4] + b"\xff" * 40, "tables do not follow each other"),
        (table(b"DSDT", 36)[:4] + bytes(40), "tables do not follow each other"),
        (b"\x7fELF" + bytes(200), "tables do not follow each other"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "tables"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=why):
        read_vmm_tables(str(path))


def test_folders_that_lack_something_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no acpi/tables in this folder"):
        read_vmm_tables(str(tmp_path))
    (tmp_path / "tables").write_bytes(b"tables")
    (tmp_path / "rsdp").write_bytes(b"rsdp")
    with pytest.raises(UsageError, match="etc/table-loader is missing"):
        read_vmm_tables(str(tmp_path))
    (tmp_path / "table-loader").write_bytes(b"\xff" * 128)
    with pytest.raises(FormatError, match="does not hold the commands"):
        read_vmm_tables(str(tmp_path))
    with pytest.raises(HostError, match="no such file"):
        read_vmm_tables(str(tmp_path / "none"))
