"""Base relocations: what gets fixed up, and which directories firmware refuses."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.formats.pe.parse import ImageError, PeImage, PeRejection, parse_pe
from tdvfsh.formats.pe.relocate import Fixup, RelocationType, relocate_pe
from tdvfsh.uefi.status import EfiStatus
from tests.formats.pe_builder import DATA, TEXT, Section, build_pe

ADJUST = 0x12345678


def block(page: int, *records: int, size: int | None = None) -> bytes:
    length = 8 + 2 * len(records) if size is None else size
    return struct.pack(f"<II{len(records)}H", page, length, *records)


def image_with(relocations: bytes, directory: tuple[int, int] | None = None, characteristics: int = 0x22) -> bytes:
    where = (0x2000, len(relocations)) if directory is None else directory
    return build_pe((TEXT, DATA._replace(data=relocations)), {5: where}, characteristics=characteristics)


def relocate(image: bytes, adjust: int = ADJUST) -> tuple[Fixup, ...] | PeRejection:
    pe = parse_pe(image)
    assert isinstance(pe, PeImage), pe
    return relocate_pe(pe, image, adjust)


def test_records_become_fixups_in_their_order() -> None:
    relocations = block(0x1000, 0xA010, 0x3020, 0x1030, 0x2032, 0x0000) + block(0x2000, 0xA008)
    assert relocate(image_with(relocations)) == (
        Fixup(0x1010, RelocationType.DIR64),
        Fixup(0x1020, RelocationType.HIGHLOW),
        Fixup(0x1030, RelocationType.HIGH),
        Fixup(0x1032, RelocationType.LOW),
        Fixup(0x2008, RelocationType.DIR64),
    )


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (RelocationType.DIR64, (1 << 64) - 1, ADJUST - 1),
        (RelocationType.HIGHLOW, 0xFFFFFFFF, ADJUST - 1),
        (RelocationType.HIGH, 1, 0x1235),
        (RelocationType.LOW, 0xFFFF, 0x5677),
    ],
)
def test_fixup_adds_the_distance_to_as_many_bits_as_it_has(kind: RelocationType, value: int, result: int) -> None:
    assert Fixup(0, kind).apply(value, ADJUST) == result


def test_image_at_its_linked_address_needs_no_fixups() -> None:
    assert relocate(image_with(block(0x1000, 0xA010)), adjust=0) == ()


def test_stripped_image_has_none() -> None:
    assert relocate(image_with(block(0x1000, 0xA010), characteristics=0x23)) == ()


def test_image_without_relocation_directory_is_relocatable_with_nothing_to_fix() -> None:
    assert relocate(build_pe(directory_count=4)) == ()
    assert relocate(build_pe()) == ()


def test_five_directories_make_firmware_take_the_section_table_for_the_sixth() -> None:
    refusal = relocate(build_pe(directory_count=5))
    assert isinstance(refusal, PeRejection)
    assert refusal.status is EfiStatus.EFI_LOAD_ERROR


@pytest.mark.parametrize(
    ("image", "status"),
    [
        pytest.param(image_with(b"", (0x3000, 8)), "LOAD_ERROR", id="directory begins outside"),
        pytest.param(image_with(b"", (0x2FF8, 9)), "LOAD_ERROR", id="directory ends outside"),
        pytest.param(image_with(b"", (0xFFFFFFFF, 2)), "LOAD_ERROR", id="directory wraps"),
        pytest.param(image_with(block(0x1000, size=0), (0x2000, 16)), "LOAD_ERROR", id="block of size 0"),
        pytest.param(image_with(block(0x1000, size=32), (0x2000, 31)), "LOAD_ERROR", id="block past the directory"),
        pytest.param(image_with(block(0x3000, 0)), "LOAD_ERROR", id="page outside"),
        pytest.param(image_with(block(0x2FFF, 0xA001)), "LOAD_ERROR", id="record outside"),
        pytest.param(image_with(block(0x1000, 0x4000)), "UNSUPPORTED", id="HIGHADJ is unknown on X64"),
    ],
)
def test_malformed_relocations_are_refused(image: bytes, status: str) -> None:
    refusal = relocate(image)
    assert isinstance(refusal, PeRejection), refusal
    assert refusal.status is EfiStatus.from_name(status)
    assert refusal.image_error is ImageError.FAILED_RELOCATION


def test_directory_outside_the_image_is_refused_even_at_the_linked_address() -> None:
    assert isinstance(relocate(image_with(b"", (0x3000, 8)), adjust=0), PeRejection)


def test_zeroed_memory_holds_no_fixups_however_large_a_block_is() -> None:
    section = Section(b".reloc", 0x2000, 0x70000000, 0x600, 0x200, block(0x1000, 0xA010, size=0x60000000))
    image = build_pe((TEXT, section), {5: (0x2000, 0x60000000)}, size_of_image=0x7F000000)
    assert relocate(image) == (Fixup(0x1010, RelocationType.DIR64),)


def test_sections_that_repeat_the_same_relocations_without_end_are_refused() -> None:
    total = 24 * 0x200
    data = block(0x1000, *[0xA010] * 252, size=total)
    repeats = tuple(Section(b".r", 0x2000 + 0x200 * index, 0x200, 0x1000, 0x200, data) for index in range(24))
    image = build_pe(repeats, {5: (0x2000, total)}, size=0x1200, size_of_image=0x6000, size_of_headers=0x1000)
    with pytest.raises(FormatError, match="beyond the size of the file"):
        relocate(image)
