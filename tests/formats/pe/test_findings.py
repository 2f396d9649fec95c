"""Images that firmware loads although they are wrong: what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.formats.inspect import inspect_file
from tdvfsh.formats.pe.findings import Overwrite, findings, overwrites, overwritten_code
from tdvfsh.formats.pe.parse import PeImage, parse_pe
from tests.formats.pe_builder import Section, build_pe


def image(*sections: Section, **fields: int) -> PeImage:
    pe = parse_pe(build_pe(sections, **fields))  # type: ignore[arg-type]
    assert isinstance(pe, PeImage)
    return pe


TEXT = Section(b".text", 0x1000, 0x1000, 0x400, 0x200)
DATA = Section(b".data", 0x2000, 0x1000, 0x600, 0x200)


def whats(pe: PeImage) -> list[str]:
    """All but one that every image of the builder has: its sections are writable and executable."""
    return [finding.what for finding in findings(pe) if "writable" not in finding.what]


def test_a_well_made_image_has_no_findings() -> None:
    assert whats(image(TEXT, DATA)) == []


@pytest.mark.parametrize(
    ("sections", "fields", "what"),
    [
        ((TEXT._replace(virtual_size=0x1800), DATA), {}, ".data overwrites 0x800 bytes of .text"),
        (
            (TEXT, DATA._replace(virtual_address=0x1200)),
            {},
            ".data at 0x1200 is not aligned to SectionAlignment 0x1000",
        ),
        (
            (TEXT, DATA._replace(virtual_size=0x5000, pointer=0, raw_size=0)),
            {},
            ".data ends 0x4000 bytes past SizeOfImage",
        ),
        ((TEXT, DATA), {"section_alignment": 0x200}, "SectionAlignment 0x200 is below 4 KiB"),
        ((TEXT, DATA), {"section_alignment": 0x20}, "SectionAlignment 0x20 is below 4 KiB"),
        (
            (TEXT, DATA),
            {"dll_characteristics": 0x100},
            ".text is writable and executable, although the image says NX_COMPAT",
        ),
        ((DATA, TEXT), {}, "the sections are not in ascending order"),
    ],
)
def test_each_fault_is_named_with_the_firmware_that_refuses_it(
    sections: tuple[Section, ...], fields: dict[str, int], what: str
) -> None:
    found = {finding.what: finding.effect for finding in findings(image(*sections, **fields))}
    assert what in found
    assert "refuse" in found[what]


def test_the_later_section_of_the_table_overwrites_whatever_its_address() -> None:
    low, high = TEXT._replace(virtual_size=0x1400), DATA
    assert overwrites(image(low, high)) == [Overwrite(".text", ".data", 0x400)]
    assert overwrites(image(high, low)) == [Overwrite(".data", ".text", 0x400)]
    assert overwritten_code(image(low, high)) == Overwrite(".text", ".data", 0x400)
    payload = low._replace(name=b".initrd")
    assert overwritten_code(image(payload, high)) is None  # what a unified kernel image carries is not its own code


def test_inspect_tells_them(tmp_path: Path) -> None:
    path = tmp_path / "odd.efi"
    path.write_bytes(build_pe((TEXT._replace(virtual_size=0x1800), DATA)))
    facts = inspect_file(path)["pe"]
    assert isinstance(facts, dict)
    assert facts["findings"][0]["what"] == ".data overwrites 0x800 bytes of .text"
