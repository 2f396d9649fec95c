"""Unified kernel images: which sections there are, and where."""

from __future__ import annotations

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.formats.pe.uki import parse_uki
from tests.formats.pe_builder import Section, build_pe

LINUX = Section(b".linux", 0x1000, 0x123, 0x400, 0x200, b"kernel")
INITRD = Section(b".initrd", 0x2000, 0x1000, 0x600, 0x100, b"initrd")
CMDLINE = Section(b".cmdline", 0x3000, 9, 0x700, 0x80, b"a=b\x1b[2J\0")
OSREL = Section(b".osrel", 0x4000, 0x40, 0x780, 0x80, b'NAME="x"\nID=x\n')
EFI_CODE = Section(b".text", 0x5000, 0x10, 0x7F0, 0x10)


def test_sections_have_the_size_of_their_content() -> None:
    uki = parse_uki(build_pe((OSREL, CMDLINE, LINUX, INITRD, EFI_CODE), size_of_image=0x6000), "uki")
    linux, initrd = uki.section(".linux"), uki.section(".initrd")
    assert linux is not None
    assert initrd is not None
    assert (linux.offset, linux.size) == (0x400, 0x123)
    assert (initrd.offset, initrd.size) == (0x600, 0x100)
    assert [section.name for section in uki.sections] == [".osrel", ".cmdline", ".linux", ".initrd"]


def test_texts_are_harmless_but_keep_their_lines() -> None:
    uki = parse_uki(build_pe((OSREL, CMDLINE, LINUX), size_of_image=0x6000), "uki")
    assert (uki.cmdline, uki.osrel, uki.uname) == ("a=b\\x1b[2J", 'NAME="x"\nID=x\n', "")


def test_pe_without_kernel_is_refused() -> None:
    with pytest.raises(FormatError, match=r"no \.linux section"):
        parse_uki(build_pe(), "uki")


def test_what_firmware_refuses_is_refused() -> None:
    with pytest.raises(FormatError, match="not a unified kernel image"):
        parse_uki(b"MZ", "uki")
