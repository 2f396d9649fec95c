"""Each rule of the PE loader by itself: an image that breaks only that rule, and one that just does not."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.formats.mapped import ByteSource
from tdvfsh.formats.pe.layout import TE_HEADER
from tdvfsh.formats.pe.load import PeLoad, load_pe
from tdvfsh.formats.pe.memory import Coverage, LoadedImage, Piece
from tdvfsh.formats.pe.parse import DataDirectory, ImageError, PeImage, PeRejection, parse_pe
from tdvfsh.uefi.status import EfiStatus
from tests.formats.pe_builder import DATA, TEXT, Section, build_pe, place

ADDRESS = 0x10000000
NO_READ = ImageError.IMAGE_READ
UNSUPPORTED = ImageError.UNSUPPORTED


def accepted(image: bytes) -> PeImage:
    verdict = parse_pe(image)
    assert isinstance(verdict, PeImage), verdict
    return verdict


def rejected(image: bytes) -> PeRejection:
    verdict = parse_pe(image)
    assert isinstance(verdict, PeRejection), verdict
    return verdict


def loaded(image: bytes, address: int = ADDRESS) -> PeLoad:
    result = load_pe(accepted(image), image, address)
    assert isinstance(result, PeLoad), result
    return result


def not_loaded(image: bytes, address: int = ADDRESS, size: int | None = None) -> PeRejection:
    result = load_pe(accepted(image), image, address, size)
    assert isinstance(result, PeRejection), result
    return result


def test_plain_image_is_accepted_with_the_fields_it_has() -> None:
    pe = accepted(build_pe(image_base=0x400000, major_image_version=3, dll_characteristics=0x100))
    assert (pe.machine, pe.magic, pe.subsystem, pe.image_base) == (0x8664, 0x20B, 10, 0x400000)
    assert (pe.size_of_image, pe.image_size, pe.section_alignment, pe.file_alignment) == (0x3000, 0x3000, 0x1000, 0x200)
    assert (pe.major_image_version, pe.dll_characteristics, pe.number_of_rva_and_sizes) == (3, 0x100, 16)
    assert [section.name for section in pe.sections] == [".text", ".data"]
    assert not pe.relocations_stripped
    assert pe.certificate_table is None


def test_pe32_image_is_accepted_with_its_32_bit_base() -> None:
    pe = accepted(build_pe(pe32=True, machine=0x14C, image_base=0x10000))
    assert (pe.magic, pe.machine, pe.image_base) == (0x10B, 0x14C, 0x10000)


def test_image_without_dos_header_begins_with_its_pe_header() -> None:
    assert accepted(build_pe(dos=False)).pe_header_offset == 0


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        pytest.param(build_pe()[:63], NO_READ, id="DOS header cut short"),
        pytest.param(build_pe(e_lfanew=0x800 - 263), NO_READ, id="264 bytes must be readable at e_lfanew"),
        pytest.param(build_pe(signature=0x4550 + 1), ImageError.INVALID_MACHINE_TYPE, id="signature"),
        pytest.param(build_pe(magic=0x107), ImageError.INVALID_MACHINE_TYPE, id="magic"),
        pytest.param(build_pe(number_of_rva_and_sizes=17), UNSUPPORTED, id="more than 16 directories"),
        pytest.param(build_pe(size_of_optional_header=0xE8), UNSUPPORTED, id="optional header too small"),
        pytest.param(build_pe(number_of_rva_and_sizes=15), UNSUPPORTED, id="optional header too large"),
        pytest.param(build_pe(size_of_image=0x148), UNSUPPORTED, id="SizeOfImage ends where the section table begins"),
        pytest.param(
            build_pe(size_of_image=0x148 + 2 * 40, size_of_headers=0x148 + 79), UNSUPPORTED, id="strict room in image"
        ),
        pytest.param(build_pe(size_of_headers=0x148), UNSUPPORTED, id="SizeOfHeaders ends before the section table"),
        pytest.param(build_pe(size_of_headers=0x3000, size=0x4000), UNSUPPORTED, id="SizeOfHeaders equals SizeOfImage"),
        pytest.param(build_pe(size_of_headers=0x148 + 79), UNSUPPORTED, id="no room for two sections in the headers"),
        pytest.param(build_pe(size_of_headers=0x801), NO_READ, id="headers past the end of the file"),
        pytest.param(build_pe(directories={4: (0xFFFFFFFF, 1)}), UNSUPPORTED, id="certificate table wraps"),
        pytest.param(build_pe(directories={4: (0x700, 0x101)}), NO_READ, id="certificate table past the end"),
        pytest.param(build_pe(machine=0x200), ImageError.SUCCESS, id="machine"),
        pytest.param(
            build_pe((TEXT._replace(virtual_address=0x3FF),)), UNSUPPORTED, id="section address within the headers"
        ),
        pytest.param(build_pe((TEXT._replace(pointer=0x3FF),)), UNSUPPORTED, id="section data within the headers"),
        pytest.param(
            build_pe((TEXT._replace(pointer=0xFFFFFF00, raw_size=0x100),)), UNSUPPORTED, id="section end wraps"
        ),
        pytest.param(build_pe((TEXT._replace(raw_size=0x401),)), NO_READ, id="section data past the end"),
        pytest.param(
            build_pe((TEXT,), size=0x148 + 39 + 64, number_of_sections=1, size_of_headers=0x148 + 40), NO_READ,
            id="section header past the end",
        ),
        pytest.param(build_pe(directories={6: (0x1FFF, 28)}, size=0x800), NO_READ, id="debug entry past the end"),
    ],
)  # fmt: skip
def test_image_that_breaks_one_rule_is_unsupported_with_its_tag(image: bytes, tag: ImageError) -> None:
    verdict = rejected(image)
    assert verdict.status is EfiStatus.EFI_UNSUPPORTED
    assert verdict.image_error is tag, verdict
    assert verdict.why


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(build_pe(number_of_sections=0), id="no sections"),
        pytest.param(build_pe(size_of_headers=0x3FF), id="SizeOfHeaders not aligned"),
        pytest.param(build_pe(directories={4: (0x700, 0x100)}), id="certificate table up to the last byte"),
        pytest.param(build_pe(directories={4: (0xFFFFFF00, 0)}), id="certificate table without size"),
        pytest.param(build_pe((TEXT._replace(raw_size=0x400),)), id="section data up to the last byte"),
        pytest.param(build_pe((TEXT, DATA._replace(virtual_address=0x1800))), id="sections overlap"),
        pytest.param(build_pe((TEXT._replace(raw_size=0, pointer=0xFFFFFFFF, virtual_address=0),)), id="no raw data"),
        pytest.param(build_pe(subsystem=3), id="subsystem is the caller's matter"),
        pytest.param(build_pe(machine=0xAA64), id="ARM64 is loadable, starting is the caller's matter"),
        pytest.param(build_pe(directory_count=6, directories={}), id="six directories"),
        pytest.param(build_pe(directories={6: (0x2FFF0, 0x1000)}), id="debug directory outside all sections"),
    ],
)
def test_image_at_the_edge_of_a_rule_is_accepted(image: bytes) -> None:
    accepted(image)


def test_certificate_table_is_told_where_it_is() -> None:
    assert accepted(build_pe(directories={4: (0x700, 0x80)})).certificate_table == DataDirectory(0x700, 0x80)


def test_source_size_cuts_the_file() -> None:
    image = build_pe()
    assert isinstance(parse_pe(image, len(image)), PeImage)
    assert isinstance(parse_pe(image, len(image) - 1), PeRejection)


def debug_entry(kind: int = 2, size: int = 0x20, rva: int = 0, file_offset: int = 0) -> bytes:
    return struct.pack("<IIHHIIII", 0, 0, 0, 0, kind, size, rva, file_offset)


def with_debug(*entries: bytes, record: bytes = b"", directory_size: int | None = None) -> bytes:
    data = b"".join(entries).ljust(0x100, b"\0") + record
    directory = (0x1000, len(b"".join(entries)) if directory_size is None else directory_size)
    return build_pe((TEXT._replace(data=data), DATA), {6: directory})


def test_code_view_data_outside_the_sections_makes_the_image_larger() -> None:
    pe = accepted(with_debug(debug_entry(size=0x123, file_offset=0x7F0)))
    assert (pe.size_of_image, pe.image_size) == (0x3000, 0x3123)
    assert pe.debug_directory_entry_rva == 0x1000


def test_code_view_data_with_an_address_of_its_own_does_not_make_the_image_larger() -> None:
    assert accepted(with_debug(debug_entry(size=0x123, rva=0x1200, file_offset=0x600))).image_size == 0x3000


def test_debug_directory_that_swallows_its_code_view_data_is_read_up_to_it() -> None:
    image = with_debug(debug_entry(size=0x20, rva=0x101C, file_offset=0x41C), directory_size=0x7FFFFFFF)
    assert accepted(image).debug_directory_entry_rva == 0x1000


@pytest.mark.parametrize(("signature", "least"), [(b"NB10", 16), (b"RSDS", 24), (b"MTOC", 20)])
def test_code_view_record_shorter_than_its_header_is_unsupported(signature: bytes, least: int) -> None:
    loaded(with_debug(debug_entry(size=least, rva=0x1100), record=signature))
    refusal = not_loaded(with_debug(debug_entry(size=least - 1, rva=0x1100), record=signature))
    assert (refusal.status, refusal.image_error) == (EfiStatus.EFI_UNSUPPORTED, UNSUPPORTED)


def test_code_view_record_outside_the_image_is_a_load_error() -> None:
    refusal = not_loaded(with_debug(debug_entry(rva=0x3000)))
    assert (refusal.status, refusal.image_error) == (EfiStatus.EFI_LOAD_ERROR, ImageError.FAILED_RELOCATION)


def test_code_view_data_outside_the_sections_is_appended_to_the_last_one() -> None:
    image = with_debug(debug_entry(size=8, file_offset=0x7F0))
    assert (0x3000, 0x7F0, 8) in loaded(image).copies


def test_load_copies_headers_and_sections_and_zeroes_what_is_virtual_only() -> None:
    load = loaded(build_pe())
    assert load.copies == ((0, 0, 0x400), (0x1000, 0x400, 0x200), (0x2000, 0x600, 0x200))
    assert load.zero_fills == ((0x1200, 0xE00), (0x2200, 0xE00))
    assert (load.entry_point, load.overrun) == (ADDRESS + 0x1000, 0)


def test_entry_point_outside_the_image_becomes_zero() -> None:
    assert loaded(build_pe(address_of_entry_point=0x2FFF)).entry_point == ADDRESS + 0x2FFF
    assert loaded(build_pe(address_of_entry_point=0x3000)).entry_point == 0


@pytest.mark.parametrize(
    ("image", "address", "size", "status", "tag"),
    [
        (build_pe(), ADDRESS, 0x2FFF, "BUFFER_TOO_SMALL", ImageError.INVALID_IMAGE_SIZE),
        (build_pe(), 0, None, "INVALID_PARAMETER", ImageError.INVALID_IMAGE_ADDRESS),
        (build_pe(), 0x10000800, None, "INVALID_PARAMETER", ImageError.INVALID_SECTION_ALIGNMENT),
        (build_pe(section_alignment=0), ADDRESS, None, "INVALID_PARAMETER", ImageError.INVALID_SECTION_ALIGNMENT),
        (build_pe(characteristics=0x23), ADDRESS, None, "INVALID_PARAMETER", ImageError.INVALID_IMAGE_ADDRESS),
        (build_pe(characteristics=0x23, subsystem=12), ADDRESS, None, "LOAD_ERROR", ImageError.INVALID_SUBSYSTEM),
        (build_pe(size_of_image=0x2FFF), ADDRESS, None, "LOAD_ERROR", ImageError.SECTION_NOT_LOADED),
        (
            build_pe((TEXT, DATA._replace(virtual_address=0x3000))),
            ADDRESS,
            None,
            "LOAD_ERROR",
            ImageError.SECTION_NOT_LOADED,
        ),
    ],
)
def test_load_refuses_with_its_status_and_tag(
    image: bytes, address: int, size: int | None, status: str, tag: ImageError
) -> None:
    refusal = not_loaded(image, address, size)
    assert (refusal.status, refusal.image_error) == (EfiStatus.from_name(status), tag)


def test_section_alignment_is_a_mask_even_where_it_is_no_power_of_two() -> None:
    loaded(build_pe(section_alignment=3), 0x10000001)  # 3 - 1 = 2: only that bit counts
    not_loaded(build_pe(section_alignment=3), 0x10000002)


def test_stripped_image_loads_at_its_linked_address() -> None:
    assert loaded(build_pe(characteristics=0x23, image_base=ADDRESS)).image_address == ADDRESS


def test_section_without_virtual_size_can_overrun_the_image_and_is_flagged() -> None:
    section = Section(b".big", 0x2FF0, 0, 0x400, 0x400)
    assert loaded(build_pe((section,))).overrun == 0x3F0


def test_virtual_size_that_wraps_passes_the_check_and_is_flagged() -> None:
    section = Section(b".wrap", 0x1000, 0xFFFFFFFF, 0x400, 0x200)
    assert loaded(build_pe((section,))).overrun == 0x1000 + 0xFFFFFFFF - 0x3000


def test_section_without_data_that_lies_over_the_headers_wipes_the_sections_behind_it() -> None:
    wiper = Section(b".wipe", 0x0, 0x1000, 0, 0)
    load = loaded(build_pe((wiper, TEXT, DATA)))
    assert load.copies == ((0, 0, 0x400),)
    assert load.header.number_of_rva_and_sizes == 0
    assert load.entry_point == ADDRESS  # AddressOfEntryPoint is wiped as well


def test_section_that_wipes_only_what_was_read_does_no_harm_to_later_ones() -> None:
    wiper = Section(b".wipe", 0x0, 0x40, 0, 0)
    assert len(loaded(build_pe((wiper, TEXT, DATA))).copies) == 3


def resources(name: bytes, entry_data: int, size: int = 0x100) -> bytes:
    directory = struct.pack("<IIHHHH", 0, 0, 0, 0, 1, 0) + struct.pack("<II", 0x80000040, entry_data)
    data = directory.ljust(0x40, b"\0") + struct.pack("<H", len(name)) + name.decode().encode("utf-16-le")
    nested = data.ljust(0x60, b"\0") + struct.pack("<IIHHHH", 0, 0, 0, 0, 0, 1) + struct.pack("<II", 0, 0x90)
    return build_pe((TEXT._replace(data=nested), DATA), {2: (0x1000, size)})


def test_resource_directory_that_leads_to_its_data_is_fine() -> None:
    loaded(resources(b"HII", 0x80000060))
    loaded(resources(b"HII", 0x90))
    loaded(resources(b"XYZ", 0x7FFFFFFF))  # not looked into


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(resources(b"HII", 0x80000060, size=0x17), id="entries exceed the directory"),
        pytest.param(resources(b"HII", 0x80000060, size=0x40), id="name outside the directory"),
        pytest.param(resources(b"HII", 0x80000100), id="next level outside the directory"),
        pytest.param(resources(b"HII", 0x800000F4), id="next level's entries exceed the directory"),
        pytest.param(resources(b"HII", 0x100), id="data entry outside the directory"),
    ],
)
def test_malformed_resources_are_unsupported(image: bytes) -> None:
    assert not_loaded(image).status is EfiStatus.EFI_UNSUPPORTED


def test_section_name_with_escape_sequences_comes_out_harmless() -> None:
    (section,) = accepted(build_pe((TEXT._replace(name=b"\x1b[2J\xff"),))).sections
    assert section.name == r"\x1b[2J\xff"


def build_te(machine: int = 0x8664, stripped: int = 0x200, base_of_code: int = 0x240, **fields: int) -> bytes:
    header = {
        "signature": 0x5A56,
        "machine": machine,
        "number_of_sections": 1,
        "subsystem": 11,
        "stripped_size": stripped,
        "address_of_entry_point": 0x1000,
        "base_of_code": base_of_code,
        "image_base": 0x10000,
    }
    image = bytearray(0x400)
    place(image, 0, TE_HEADER.build(**(header | fields)))
    place(image, 40, struct.pack("<8sIIIIIIHHI", b".text", 0x800, 0x1000, 0x100, 0x300, 0, 0, 0, 0, 0))
    return bytes(image)


def test_te_image_is_measured_from_its_last_section() -> None:
    pe = accepted(build_te())
    assert pe.is_te_image
    assert (pe.te_stripped_offset, pe.image_size) == (0x200 - 40, 0x1800 - (0x200 - 40))
    assert pe.image_base == 0x10000 + 0x200 - 40
    assert pe.relocations_stripped  # a TE image without relocation directory counts as stripped


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(build_te(stripped=40), id="nothing stripped"),
        pytest.param(build_te(base_of_code=0x200), id="BaseOfCode within what is stripped"),
        pytest.param(build_te(base_of_code=0x1000), id="headers past the end"),
        pytest.param(build_te(relocation_size=8), id="relocations without address"),
        pytest.param(build_te(machine=0x200), id="machine"),
    ],
)
def test_te_image_that_breaks_a_rule_is_unsupported(image: bytes) -> None:
    assert rejected(image).status is EfiStatus.EFI_UNSUPPORTED


def test_loaded_bytes_are_those_of_the_last_piece_written() -> None:
    source = ByteSource(bytes(range(256)))
    image = LoadedImage(source, [Piece(0, 16, 0), Piece(4, 8, 100), Piece(6, 2, None)])
    assert image.read(0, 18) == bytes([0, 1, 2, 3, 100, 101, 0, 0, 104, 105, 106, 107, 12, 13, 14, 15, 0, 0])
    assert list(image.backed(0, 18)) == [(0, 4), (4, 6), (8, 12), (12, 16)]


def test_coverage_hands_out_each_byte_once() -> None:
    coverage = Coverage()
    assert coverage.add(10, 20) == [(10, 20)]
    assert coverage.add(30, 40) == [(30, 40)]
    assert coverage.add(0, 50) == [(0, 10), (20, 30), (40, 50)]
    assert coverage.add(5, 45) == []
