"""SMBIOS, walked structure by structure as a kernel walks it."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tdvfsh.engine.tables.smbios import smbios_tables
from tdvfsh.td.ram import RamLayout
from tdvfsh.units import GIB, KIB, MIB, TIB

BASE = 0x7F700000
LENGTHS = {0: 0x18, 1: 0x1B, 3: 0x16, 4: 0x30, 16: 0x17, 17: 0x28, 19: 0x1F, 32: 0x0B, 127: 4}


class Structure:
    def __init__(self, data: bytes) -> None:
        self.kind, length, self.handle = struct.unpack_from("<BBH", data)
        self.fields = data[:length]
        end = data.index(b"\0\0", length)
        self.texts = [text.decode() for text in data[length:end].split(b"\0")]
        self.size = end + 2

    def get(self, offset: int, form: str) -> int:
        value = struct.unpack_from("<" + form, self.fields, offset)[0]
        assert isinstance(value, int)
        return value

    def text(self, offset: int) -> str:
        return self.texts[self.fields[offset] - 1]


def walked(memory: int = 8 * GIB, vcpus: int = 4) -> list[Structure]:
    tables = smbios_tables(BASE, memory, vcpus, RamLayout.q35(memory).spans)
    entry = tables.data[tables.entry_point - BASE :][:24]
    assert sum(entry) & 0xFF == 0
    anchor, size, major, minor, revision, limit, address = struct.unpack("<5sxBBBxBxIQ", entry)
    assert (anchor, size, major, minor, revision) == (b"_SM3_", 24, 3, 0, 1)
    data = tables.data[address - BASE :][:limit]
    found = []
    while data:
        found.append(Structure(data))
        data = data[found[-1].size :]
    return found


def only(kind: int, memory: int = 8 * GIB, vcpus: int = 4) -> Structure:
    (structure,) = (each for each in walked(memory, vcpus) if each.kind == kind)
    return structure


def test_every_structure_is_as_long_as_its_type_says_and_the_last_one_ends_the_table() -> None:
    structures = walked()
    assert [each.kind for each in structures] == [0, 1, 3, 4, 16, 17, 19, 19, 32, 127]
    assert all(len(each.fields) == LENGTHS[each.kind] for each in structures)
    assert len({each.handle for each in structures}) == len(structures)


def test_the_texts_that_a_kernel_prints_are_there() -> None:
    assert [only(1).text(4), only(1).text(5)] == ["tdvfsh", "Virtual trust domain"]
    firmware = only(0)
    assert [firmware.text(4), firmware.text(5), firmware.text(8)] == ["tdvfsh", "modelled", "02/02/2022"]


def test_the_firmware_is_uefi_in_a_virtual_machine() -> None:
    assert only(0).get(0x13, "B") == 1 << 3 | 1 << 4


@pytest.mark.parametrize(("vcpus", "few"), [(1, 1), (254, 254), (300, 0xFF)])
def test_all_vcpus_are_counted_also_beyond_a_byte(vcpus: int, few: int) -> None:
    processor = only(4, vcpus=vcpus)
    assert [processor.get(at, "B") for at in (0x23, 0x24, 0x25)] == [few] * 3
    assert [processor.get(at, "H") for at in (0x2A, 0x2C, 0x2E)] == [vcpus] * 3


@pytest.mark.parametrize("memory", [2 * GIB, 32 * GIB, 2 * TIB, 64 * TIB])
def test_the_memory_is_said_in_full_at_every_size(memory: int) -> None:
    array, device = only(16, memory), only(17, memory)
    capacity = array.get(7, "I")
    assert (array.get(0x0F, "Q") if capacity == 0x80000000 else capacity * KIB) == memory
    size = device.get(0x0C, "H")
    assert (device.get(0x1C, "I") if size == 0x7FFF else size) * MIB == memory
    assert device.get(4, "H") == array.handle


@pytest.mark.parametrize("memory", [GIB, 8 * GIB, 64 * TIB])
def test_the_mapped_ranges_are_those_of_the_machine(memory: int) -> None:
    ranges = []
    for each in (each for each in walked(memory) if each.kind == 19):
        first, last = each.get(4, "I"), each.get(8, "I")
        extended = first == 0xFFFFFFFF
        ranges.append((each.get(0x0F, "Q"), each.get(0x17, "Q") + 1) if extended else (first * KIB, (last + 1) * KIB))
    assert ranges == [(span.start, span.end) for span in RamLayout.q35(memory).spans]


def test_without_a_layout_the_memory_is_one_range() -> None:
    data = smbios_tables(BASE, GIB, 1).data
    assert struct.pack("<BB", 19, 0x1F) + struct.pack("<HII", 0x1300, 0, GIB // KIB - 1) in data


@pytest.mark.parametrize(("base", "memory", "vcpus"), [(BASE + 8, GIB, 1), (BASE, 0, 1), (BASE, GIB, 0)])
def test_what_cannot_be_is_refused(base: int, memory: int, vcpus: int) -> None:
    with pytest.raises(ValueError, match="no tables"):
        smbios_tables(base, memory, vcpus)


@pytest.mark.skipif(shutil.which("dmidecode") is None, reason="dmidecode is not installed")
def test_dmidecode_reads_it_without_complaint(tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_bytes(smbios_tables(0, 8 * GIB, 300, RamLayout.q35(8 * GIB).spans).data)  # a dump begins at address 0
    done = subprocess.run(["dmidecode", "--from-dump", str(dump)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for part in ("SMBIOS 3.0.0 present", "Size: 8 GB", "Core Count: 300", "UEFI is supported", "End Of Table"):
        assert part in done.stdout
    for complaint in ("BAD INDEX", "OUT OF SPEC", "Wrong", "TRUNCATED", "Invalid"):
        assert complaint.lower() not in done.stdout.lower()
