"""What each policy of memory protection makes of an image, and that inspection tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.formats.inspect import inspect_file
from tdvfsh.formats.pe.parse import PeImage, parse_pe
from tdvfsh.formats.pe.protection import ImageRefusal, code_ranges, policy_verdicts, strict_refusal
from tdvfsh.report.inspect_text import inspect_lines
from tdvfsh.uefi.status import EfiStatus
from tests.engine.assembler import pe_image
from tests.formats.pe_builder import Section, build_pe

CODE, WRITABLE_CODE, EXECUTABLE_DATA = 0x60000020, 0xE0000020, 0x60000040


def parsed(image: bytes) -> PeImage:
    pe = parse_pe(memoryview(image))
    assert isinstance(pe, PeImage)
    return pe


@pytest.mark.parametrize(
    ("image", "nx", "strict", "why"),
    [
        (pe_image(b"\xc3", flags=CODE, dll_characteristics=0x100), "runs", "runs", ""),
        (pe_image(b"\xc3", flags=CODE), "runs", "refused", "it does not say NX_COMPAT (EFI_SECURITY_VIOLATION)"),
        (pe_image(b"\xc3", flags=CODE, subsystem=11), "runs", "runs", ""),  # drivers need not say it
        (
            pe_image(b"\xc3", flags=WRITABLE_CODE, dll_characteristics=0x100),
            "faults",
            "refused",
            ".text is writable and executable (EFI_LOAD_ERROR)",
        ),
        (
            pe_image(b"\xc3", flags=EXECUTABLE_DATA, dll_characteristics=0x100),
            "faults",
            "faults",
            "its entry point 0x1000 is in data, which is not executable",
        ),
        (
            build_pe(section_alignment=0x200, subsystem=11),
            "unprotected",
            "refused",
            ".text is writable and executable (EFI_LOAD_ERROR)",
        ),
    ],
)
def test_policies_judge_an_image(image: bytes, nx: str, strict: str, why: str) -> None:
    verdicts = {one.policy: one for one in policy_verdicts(parsed(image))}
    assert (verdicts["ovmf"].verdict, verdicts["nx"].verdict, verdicts["strict"].verdict) == ("runs", nx, strict)
    assert verdicts["strict"].why == why


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (pe_image(b"\xc3", flags=CODE), ""),
        (
            build_pe(
                (Section(b".text", 0x400, 0x200, 0x400, 0x200),), section_alignment=0x200, address_of_entry_point=0x410
            ),
            ".text at 0x400 does not begin at a page, and stays not executable",
        ),
        (
            pe_image(b"\xc3", flags=CODE & ~0x20000000),
            ".text is not to be executable, and its entry point 0x1000 is in it",
        ),
    ],
)
def test_where_shim_starts_it_an_image_needs_code_of_whole_pages(image: bytes, why: str) -> None:
    verdicts = {one.policy: one for one in policy_verdicts(parsed(image))}
    assert verdicts["attributes"].verdict == "runs"
    assert {name for name, one in verdicts.items() if one.by_shim} == ({"attributes", "nx"} if why else set())
    assert verdicts["attributes"].by_shim == why


def test_code_that_overlaps_or_leaves_the_image_is_not_protected() -> None:
    text = Section(b".text", 0x1000, 0x2000, 0x400, 0x200)
    other = Section(b".data", 0x2000, 0x1000, 0x600, 0x200)
    assert code_ranges(parsed(build_pe((text, other)))) == ImageRefusal(
        EfiStatus.EFI_INVALID_PARAMETER, ".data overlaps other code"
    )
    outside = text._replace(virtual_size=0x9000)
    assert code_ranges(parsed(build_pe((outside,)))) == ImageRefusal(
        EfiStatus.EFI_INVALID_PARAMETER, ".text ends past the image"
    )
    assert code_ranges(parsed(build_pe((text._replace(virtual_size=0x1234),)))) == [(0x1000, 0x3000)]


def test_inspect_says_which_policies_refuse_an_image_and_why(tmp_path: Path) -> None:
    path = tmp_path / "odd.efi"
    path.write_bytes(pe_image(b"\xc3", flags=WRITABLE_CODE))
    lines = inspect_lines(inspect_file(path))
    nx = next(line for line in lines if line.lstrip().startswith("protect nx"))
    assert ".text is code that is to be writable, and is mapped read-only" in nx
    assert any("refused: it does not say NX_COMPAT (EFI_SECURITY_VIOLATION)" in line for line in lines)


def test_code_off_the_page_is_left_unprotected_and_overlap_is_refused_by_strict_firmware() -> None:
    text = Section(b".text", 0x1200, 0x400, 0x400, 0x200)
    refusal = code_ranges(parsed(build_pe((text,))))
    assert refusal == ImageRefusal(EfiStatus.EFI_UNSUPPORTED, ".text at 0x1200 does not begin at a page")
    data = bytearray(build_pe(subsystem=11))
    flags = data.find(b".data\0\0\0") + 36
    data[flags : flags + 4] = (0x40000040).to_bytes(4, "little")
    data[flags - 40 : flags - 36] = CODE.to_bytes(4, "little")
    assert strict_refusal(parsed(bytes(data))) is None
    size = data.find(b".text\0\0\0") + 8
    data[size : size + 4] = (0x1000).to_bytes(4, "little")
    address = data.find(b".data\0\0\0") + 12
    data[address - 4 : address] = (0x9000).to_bytes(4, "little")
    assert strict_refusal(parsed(bytes(data))) == ImageRefusal(EfiStatus.EFI_LOAD_ERROR, ".data ends past SizeOfImage")
