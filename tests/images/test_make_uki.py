"""Made unified kernel images: our parsers and another's read them, and what went in is in them."""

from __future__ import annotations

from pathlib import Path

import pefile
import pytest

from tdvfsh.errors import FormatError, HostError, UsageError
from tdvfsh.formats.linux import parse_bzimage
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.formats.pe.uki import parse_uki
from tdvfsh.images.make import make_initrd, make_kernel, make_uki
from tdvfsh.units import MIB


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    """A kernel and an initrd of odd size."""
    kernel, initrd = tmp_path / "linux", tmp_path / "initrd"
    make_kernel(kernel, 2 * MIB, 8 * MIB)
    make_initrd(initrd, 3 * MIB + 1)
    return kernel, initrd


def test_the_sections_hold_the_files_byte_for_byte(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    path = tmp_path / "uki.efi"
    make_uki(path, *parts, cmdline="nokaslr quiet")
    image = path.read_bytes()
    with open_mapped(path) as mapped:
        uki = parse_uki(mapped.view, "uki")
    assert uki.cmdline == "nokaslr quiet"
    for name, part in zip((".linux", ".initrd"), parts, strict=True):
        section = uki.section(name)
        assert section is not None
        assert image[section.offset : section.offset + section.size] == part.read_bytes()
    linux = uki.section(".linux")
    assert linux is not None
    assert parse_bzimage(memoryview(image)[linux.offset : linux.offset + linux.size], "inner").init_size == 8 * MIB


def test_another_parser_has_nothing_to_complain_of(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    path = tmp_path / "uki.efi"
    make_uki(path, *parts, cmdline="x")
    with pefile.PE(str(path)) as image:
        assert [warning for warning in image.get_warnings() if "makes up" not in warning] == []  # mostly zeros it is
        names = [section.Name.rstrip(b"\0") for section in image.sections]
        assert names == [b".text", b".cmdline", b".linux", b".initrd"]
        assert image.OPTIONAL_HEADER.ImageBase == 0x14DF90000


def test_an_initrd_and_a_command_line_may_be_missing(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    path = tmp_path / "uki.efi"
    make_uki(path, parts[0])
    with open_mapped(path) as mapped:
        assert [section.name for section in parse_uki(mapped.view, "uki").sections] == [".linux"]


def test_zeros_stay_a_hole_and_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    kernel, initrd = tmp_path / "linux", tmp_path / "initrd"
    make_kernel(kernel, 2 * MIB, 8 * MIB)
    make_initrd(initrd, 400 * MIB)
    paths = [tmp_path / name for name in ("one.efi", "two.efi")]
    for path in paths:
        make_uki(path, kernel, initrd)
    assert all(path.stat().st_blocks * 512 < 10 * MIB for path in paths)
    assert paths[0].stat().st_size == paths[1].stat().st_size > 400 * MIB
    with open_mapped(paths[0]) as one, open_mapped(paths[1]) as two:
        assert one.read_at(0, 4 * MIB) == two.read_at(0, 4 * MIB)


def test_what_cannot_be_made_is_refused(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="of itself"):
        make_uki(parts[0], parts[0])
    with pytest.raises(HostError):
        make_uki(tmp_path / "uki.efi", tmp_path / "nothing")
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(FormatError, match="empty"):
        make_uki(tmp_path / "uki.efi", empty)
