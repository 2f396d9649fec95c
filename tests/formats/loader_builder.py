"""Small EFI files that say of themselves what GRUB's and systemd-boot's say."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tests.formats.pe_builder import Section, build_pe


def grub_file(version: str = "2.12", vendor: str = "debian", modules: Sequence[str] = ("linux", "tpm")) -> bytes:
    """A GRUB: modules in ``mods``, version and vendor in ``.sbat``."""
    body = b"".join(_module(name) for name in modules) + struct.pack("<II", 3, 24) + b"/EFI/grub".ljust(16, b"\0")
    mods = struct.pack("<4sIQQ", b"mimg", 0, 24, 24 + len(body)) + body
    sbat = (
        b"sbat,1,SBAT Version,sbat,1,https://example.org\n"
        + f"grub,5,Free Software Foundation,grub,{version},https://www.gnu.org/software/grub/\n".encode()
        + f"grub.{vendor},1,Vendor,grub2,{version}-9,https://example.org\n".encode()
    )
    return _image((b"mods", mods), (b".sbat", sbat))


def sd_boot_file(version: str = "257.13-1") -> bytes:
    """A systemd-boot: its mark in ``.sdmagic``."""
    return _image((b".sdmagic", f"#### LoaderInfo: systemd-boot {version} ####\0".encode()))


def _image(*contents: tuple[bytes, bytes]) -> bytes:
    sections, at, address = [], 0x400, 0x1000
    for name, data in contents:
        raw = -(-len(data) // 0x200) * 0x200
        sections.append(Section(name, address, len(data), at, raw, data))
        at += raw
        address += -(-len(data) // 0x1000) * 0x1000
    return build_pe(tuple(sections), size=at, size_of_image=address)


def _module(name: str) -> bytes:
    """An ELF64 object with a ``.modname`` and the names of its sections."""
    names = b"\0.modname\0.shstrtab\0"
    text = name.encode() + b"\0"
    names_at, text_at = 64, 64 + len(names)
    table_at = text_at + len(text)
    header = bytearray(b"\x7fELF\x02\x01\x01".ljust(64, b"\0"))
    struct.pack_into("<Q", header, 0x28, table_at)
    struct.pack_into("<HH", header, 0x3C, 3, 2)
    rows = [(0, 0, 0), (1, text_at, len(text)), (10, names_at, len(names))]
    table = b"".join(struct.pack("<IIQQQQ24x", word, 1, 0, 0, offset, size) for word, offset, size in rows)
    elf = bytes(header) + names + text + table
    return struct.pack("<II", 0, 8 + len(elf)) + elf
