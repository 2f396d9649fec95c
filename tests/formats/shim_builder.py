"""Shims of the tests' own: PE images with a certificate table and an SBAT level; and images with SBAT sections."""

from __future__ import annotations

import struct

from tests.formats.pe_builder import Section, build_pe

SBAT = b"sbat,1,SBAT Version,sbat,1,https://example.org/\ngrub,4,Vendor,grub,2.12,https://example.org/\n"
LEVEL = b"sbat,1,2025021800\nshim,4\ngrub,5\n"


def made_shim(vendor: bytes, denied: bytes = b"", level: bytes = LEVEL) -> bytes:
    """A shim with what its vendor allows and denies, and a level of its own."""
    table = struct.pack("<IIII", len(vendor), len(denied), 16, 16 + len(vendor)) + vendor + denied
    levels = struct.pack("<III", 0, 8, 8 + len(level) + 1) + level + b"\0" + level + b"\0"
    return with_sections((b".vendor_cert", table), (b".sbatlevel", levels))


def with_sections(*contents: tuple[bytes, bytes]) -> bytes:
    """A PE image whose sections after ``.text`` hold these bytes; long names go into a COFF string table."""
    sections = [Section(b".text", 0x1000, 0x1000, 0x400, 0x200)]
    pointer, address, strings = 0x600, 0x2000, bytes(4)
    for name, data in contents:
        raw = -(-len(data) // 0x200) * 0x200
        short = name if len(name) <= 8 else b"/%d" % len(strings)
        strings += b"" if short is name else name + b"\0"
        sections.append(Section(short, address, len(data), pointer, raw, data))
        pointer += raw
        address += -(-len(data) // 0x1000) * 0x1000
    image = build_pe(
        tuple(sections), size=pointer, size_of_image=address, pointer_to_symbol_table=pointer, number_of_symbols=0
    )
    return image + strings
