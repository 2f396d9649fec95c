"""TDX metadata: found both ways, and refused where QEMU refuses it."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.formats.tdvf import (
    DESCRIPTOR,
    FOOTER_END,
    OVMF_TABLE_FOOTER_GUID,
    SECTION,
    TDX_METADATA_GUID,
    TDX_METADATA_OFFSET_GUID,
    TdvfAttribute,
    TdvfSectionType,
    guided_table,
    parse_tdvf,
)
from tdvfsh.uefi.guids import Guid

SIZE = 0x4000
DESCRIPTOR_OFFSET = 0x1000
OTHER_GUID = Guid("12345678-1234-1234-1234-123456789abc")

BFV = (0x2000, 0x1000, 0xFFFFE000, 0x1000, 0, 1)
CFV = (0x0, 0x1000, 0xFFFFC000, 0x2000, 1, 0)
TD_HOB = (0, 0, 0x809000, 0x2000, 2, 0)
TEMP_MEM = (0, 0, 0x810000, 0x10000, 3, 2)


def entry(guid: Guid, data: bytes, length: int | None = None) -> bytes:
    return data + struct.pack("<H", len(data) + 18 if length is None else length) + guid.bytes_le


def firmware(
    sections: tuple[tuple[int, ...], ...] = (BFV, CFV, TD_HOB, TEMP_MEM),
    legacy: bool = False,
    distance: int = SIZE - DESCRIPTOR_OFFSET,
    table: bytes | None = None,
    **fields: int | bytes,
) -> bytes:
    image = bytearray(SIZE)
    names = ("data_offset", "raw_data_size", "memory_address", "memory_data_size", "type", "attributes")
    header: dict[str, int | bytes] = {
        "signature": b"TDVF",
        "length": 16 + 32 * len(sections),
        "version": 1,
        "number_of_sections": len(sections),
    }
    metadata = DESCRIPTOR.build(**(header | fields))
    metadata += b"".join(SECTION.build(**dict(zip(names, section, strict=True))) for section in sections)
    image[DESCRIPTOR_OFFSET - 16 : DESCRIPTOR_OFFSET + len(metadata)] = TDX_METADATA_GUID.bytes_le + metadata
    end = SIZE - FOOTER_END
    if legacy:
        image[end : end + 4] = DESCRIPTOR_OFFSET.to_bytes(4, "little")
        return bytes(image)
    if table is None:
        table = entry(OTHER_GUID, b"other") + entry(TDX_METADATA_OFFSET_GUID, distance.to_bytes(4, "little"))
    table += entry(OVMF_TABLE_FOOTER_GUID, b"", len(table) + 18)
    image[end - len(table) : end] = table
    return bytes(image)


def test_sections_come_out_as_they_stand() -> None:
    metadata = parse_tdvf(firmware(), "fw")
    assert (metadata.offset, metadata.version, metadata.found_by) == (DESCRIPTOR_OFFSET, 1, "guid table")
    assert metadata.has_guid
    assert [section.type.name for section in metadata.sections] == ["BFV", "CFV", "TD_HOB", "TempMem"]
    (hob,) = metadata.of_type(TdvfSectionType.TD_HOB)
    assert (hob.memory_address, hob.memory_data_size, hob.memory_end) == (0x809000, 0x2000, 0x80B000)
    assert metadata.sections[0].attributes == TdvfAttribute.MR_EXTEND
    assert metadata.sections[3].attributes == TdvfAttribute.PAGE_AUG


def test_legacy_offset_is_used_where_there_is_no_table() -> None:
    assert parse_tdvf(firmware(legacy=True), "fw").found_by == "legacy offset"


def test_table_gives_all_its_entries() -> None:
    assert guided_table(firmware(), "fw")[OTHER_GUID] == b"other"


def test_data_past_the_end_is_told_and_no_error() -> None:
    code_only = firmware(((0x84000, 0x37C000, 0xFFC84000, 0x37C000, 0, 1), CFV))
    assert [section.data_in_file for section in parse_tdvf(code_only, "fw").sections] == [False, True]


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (bytes(SIZE), "no TDX metadata"),
        (b"", "no TDX metadata"),
        (firmware(table=entry(OTHER_GUID, b"x")), "no TDX metadata"),
        (firmware(distance=SIZE + 1), "outside the image"),
        (firmware(distance=15), "outside the image"),
        (firmware(distance=16), "does not begin with 'TDVF'"),
        (firmware(signature=b"TDVX"), "does not begin with 'TDVF'"),
        (firmware(version=2), "version 2, not 1"),
        (firmware((BFV,)), "with 1 sections"),
        (firmware(number_of_sections=0x10000000), "with 268435456 sections"),
        (firmware(length=16 + 32 * 4 + 1), "145 bytes for 4 sections"),
        (firmware(number_of_sections=4000, length=16 + 32 * 4000), "runs past the end"),
        (firmware((BFV, CFV, (0, 0, 0, 0x1000, 4, 0))), "type 4, which QEMU refuses"),
        (firmware((BFV, CFV, (0, 0, 0, 0x1000, 99, 0))), "type 99, which QEMU refuses"),
        (firmware((BFV, CFV, (0, 0, 0x800, 0x1000, 3, 0))), "4 KiB pages"),
        (firmware((BFV, CFV, (0, 0, 0x1000, 0x800, 3, 0))), "4 KiB pages"),
        (firmware((BFV, CFV, (0, 0, 0xFFFFFFFFFFFFF000, 0x2000, 3, 0))), "end wraps"),
        (firmware((BFV, (0, 0x2000, 0xFFFFC000, 0x1000, 1, 0))), "more data than memory"),
        (firmware((BFV, (0, 0, 0xFFFFC000, 0x1000, 1, 0))), "CFV section without data"),
        (firmware((BFV, CFV, (0, 0x10, 0x809000, 0x2000, 2, 0))), "TD_HOB section with data"),
        (firmware(table=entry(OTHER_GUID, b"x", length=17)), "entry's length 0x11 is invalid"),
        (firmware(table=entry(OTHER_GUID, b"x", length=500)), "entry's length 0x1f4 is invalid"),
        (firmware(table=entry(TDX_METADATA_OFFSET_GUID, b"x")), "holds no offset"),
    ],
)
def test_what_qemu_refuses_is_refused(image: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        parse_tdvf(image, "fw")


def test_table_whose_length_cannot_be_is_refused() -> None:
    image = bytearray(firmware())
    image[-FOOTER_END - 18 : -FOOTER_END - 16] = b"\xff\xff"
    with pytest.raises(FormatError, match="length 0xffff is invalid"):
        parse_tdvf(bytes(image), "fw")
