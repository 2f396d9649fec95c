"""Unified kernel images of a real stub: the stub stays, and what boot loaders read stands behind it."""

from __future__ import annotations

from pathlib import Path

import pefile
import pytest

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.pe import layout as pe
from tdvfsh.formats.pe.uki import parse_uki
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.images.pe_headers import PE_OFFSET, MadeSection, pe_headers
from tdvfsh.images.uki_of_stub import make_uki_of_stub
from tdvfsh.units import MIB

_HEADERS: dict[bool, int] = {True: 0x400, False: 0x140}
_CODE = b"\xc3" * 0x200


def _stub(path: Path, room: bool) -> Path:
    """A program of one section, with room for more in its headers or without."""
    size = _HEADERS[room]
    headers = pe_headers(
        [MadeSection(b".text", 0x1000, len(_CODE), len(_CODE), size, characteristics=0x60000020)],
        0x22,
        address_of_entry_point=0x1000,
        base_of_code=0x1000,
        image_base=0,
        size_of_image=0x2000,
        size_of_headers=size,
    )
    start = pe.DOS_HEADER.build(e_magic=pe.IMAGE_DOS_SIGNATURE, e_lfanew=PE_OFFSET)
    path.write_bytes((start + headers).ljust(size, b"\0") + _CODE)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    kernel, initrd = tmp_path / "linux", tmp_path / "initrd"
    make_kernel(kernel, 2 * MIB, 8 * MIB)
    make_initrd(initrd, 3 * MIB + 1)
    return kernel, initrd


def test_what_ukify_puts_into_an_image_is_in_it(tmp_path: Path, files: tuple[Path, Path]) -> None:
    path = tmp_path / "uki.efi"
    make_uki_of_stub(path, _stub(tmp_path / "stub", room=True), *files, "quiet")
    with open_mapped(path) as mapped:
        uki = parse_uki(mapped.view, "uki")
    assert uki.cmdline == "quiet"
    named = dict(line.split("=") for line in uki.osrel.splitlines())
    assert {"PRETTY_NAME", "NAME", "VERSION_ID"} < set(named)  # systemd-boot lists no image without name and version
    assert named["VERSION_ID"].strip('"') == (uki.uname or "0")
    image = path.read_bytes()
    for name, part in zip((".linux", ".initrd"), files, strict=True):
        section = uki.section(name)
        assert section is not None
        assert image[section.offset : section.offset + section.size] == part.read_bytes()


def test_another_parser_finds_the_stub_and_the_sections_behind_it(tmp_path: Path, files: tuple[Path, Path]) -> None:
    path = tmp_path / "uki.efi"
    make_uki_of_stub(path, _stub(tmp_path / "stub", room=True), *files, "quiet")
    with pefile.PE(str(path)) as image:
        names = [section.Name.rstrip(b"\0") for section in image.sections]
        assert names[:3] == [b".text", b".osrel", b".cmdline"]
        assert names[-2:] == [b".initrd", b".linux"]
        assert image.sections[0].get_data() == _CODE
        ends = [section.VirtualAddress + section.Misc_VirtualSize for section in image.sections]
        assert all(end <= section.VirtualAddress for end, section in zip(ends, image.sections[1:], strict=False))
        assert image.OPTIONAL_HEADER.SizeOfImage >= ends[-1]


def test_a_release_is_told_where_the_kernel_tells_its_own(tmp_path: Path, files: tuple[Path, Path]) -> None:
    path, initrd = tmp_path / "uki.efi", files[1]
    make_uki_of_stub(path, _stub(tmp_path / "stub", room=True), initrd, initrd, "quiet")  # no kernel: no .uname
    with open_mapped(path) as mapped:
        uki = parse_uki(mapped.view, "uki")
    assert uki.section(".uname") is None
    assert 'VERSION_ID="0"' in uki.osrel


def test_a_stub_without_room_in_its_headers_is_refused(tmp_path: Path, files: tuple[Path, Path]) -> None:
    with pytest.raises(FormatError, match="no room for more sections in its headers"):
        make_uki_of_stub(tmp_path / "uki.efi", _stub(tmp_path / "stub", room=False), *files, "quiet")
