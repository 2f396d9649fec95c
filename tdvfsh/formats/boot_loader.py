"""What the EFI file of a boot loader says of itself: GRUB, with its modules, or systemd-boot.

Source: GRUB include/grub/kernel.h (struct grub_module_info64, OBJ_TYPE_ELF, OBJ_TYPE_PREFIX),
the ``mods`` section of util/mkimage.c; systemd src/boot/boot.c (the ``.sdmagic`` section); ``.sbat`` of shim's SBAT.md.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.pe.image import PeImage, PeRejection, PeSection
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.text import printable
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final

GRUB: Final = "GRUB"
SYSTEMD_BOOT: Final = "systemd-boot"
_MODULE_INFO: Final = struct.Struct("<4sIQQ")  # magic, padding, offset of the first module, size of all
_MODULE_HEADER: Final = struct.Struct("<II")  # type, size with this header
_MODULE_MAGIC: Final = b"mimg"
_ELF_MODULE: Final = 0
_PREFIX: Final = 3
_MOST_PREFIX: Final = 256
_SECTION_HEADER: Final = struct.Struct("<IIQQQQ")
_SECTION_HEADER_SIZE: Final = 64
_MOST_MODULES: Final = 1024
_MOST_SECTIONS: Final = 256
_TEXT_LIMIT: Final = 64 << 10
_SBAT_GRUB: Final = pattern(rb"(?m)^grub,[^\n]*?,grub,([0-9][0-9.]*)")
_SBAT_VENDOR: Final = pattern(rb"(?m)^grub\.([a-z]+)")
_SD_BOOT: Final = pattern(rb"LoaderInfo: systemd-boot ([0-9][0-9.]*)")


@dataclass(frozen=True, slots=True)
class BootLoaderFile:
    """The EFI file of a boot loader.

    Attributes:
        path: The file.
        kind: ``GRUB`` or ``systemd-boot``.
        version: As the file says it, as numbers; empty where it does not.
        vendor: Who built it, from its ``.sbat`` section (``debian``, ``fedora`` …); empty where that does not say.
        modules: GRUB's modules in the file.
        prefix: Folder in which GRUB looks for its configuration, as ``/EFI/debian``; empty where the file names none.
        file_size: Bytes of the file.
        image_size: Its SizeOfImage.
        image_base: Address to which it is linked; 0 for none.
    """

    path: str
    kind: str
    version: tuple[int, ...]
    vendor: str
    modules: frozenset[str]
    prefix: str
    file_size: int
    image_size: int
    image_base: int

    @property
    def name(self) -> str:
        """Kind, version and vendor in words."""
        digits = 2 if self.kind == GRUB else 1
        version = ".".join(f"{part:0{digits if number == 1 else 1}}" for number, part in enumerate(self.version))
        return " ".join(part for part in (self.kind, version, f"({self.vendor})" if self.vendor else "") if part)


def read_boot_loader(view: Buffer | ByteSource, path: str) -> BootLoaderFile:
    """Read the EFI file of a boot loader.

    Raises:
        FormatError: It is not a PE image that firmware takes, or neither GRUB nor systemd-boot.
    """
    source = ByteSource(view, path)
    pe = parse_pe(source)
    if isinstance(pe, PeRejection):
        raise FormatError(path, f"not the EFI file of a boot loader: {pe.why}")
    sections = {section.name: section for section in pe.sections}
    sbat = _content(source, sections.get(".sbat"))
    modules = sections.get("mods")
    if modules is not None and source.peek(modules.pointer_to_raw_data, 4) == _MODULE_MAGIC:
        objects = list(_grub_objects(source, modules))
        prefix = next((_text(source, at, size) for kind, at, size in objects if kind == _PREFIX), "")
        names = (_module_name(source, at, size) for kind, at, size in objects if kind == _ELF_MODULE)
        return _loader(
            source,
            pe,
            GRUB,
            _SBAT_GRUB.search(sbat),
            sbat,
            frozenset(filter(None, names)),
            prefix.partition(")")[2] or prefix,
        )
    magic = _content(source, sections.get(".sdmagic"))
    if found := _SD_BOOT.search(magic):
        return _loader(source, pe, SYSTEMD_BOOT, found, b"")
    raise FormatError(path, "not the EFI file of a boot loader: neither GRUB's 'mods' nor systemd-boot's '.sdmagic'")


def _loader(
    source: ByteSource,
    pe: PeImage,
    kind: str,
    version: re.Match[bytes] | None,
    sbat: bytes,
    modules: frozenset[str] = frozenset(),
    prefix: str = "",
) -> BootLoaderFile:
    numbers = () if version is None else tuple(int(part) for part in version[1].split(b".") if part)
    vendor = _SBAT_VENDOR.search(sbat)
    return BootLoaderFile(
        path=source.path,
        kind=kind,
        version=numbers,
        vendor="" if vendor is None else vendor[1].decode("ascii"),
        modules=modules,
        prefix=prefix,
        file_size=source.size,
        image_size=pe.image_size,
        image_base=pe.image_base,
    )


def _content(source: ByteSource, section: PeSection | None) -> bytes:
    if section is None:
        return b""
    size = min(section.virtual_size, section.size_of_raw_data, _TEXT_LIMIT)
    return source.peek(section.pointer_to_raw_data, size)


def _grub_objects(source: ByteSource, section: PeSection) -> Iterator[tuple[int, int, int]]:
    """``(type, offset, bytes)`` of what was put into the image: modules, a disk, the prefix."""
    start = section.pointer_to_raw_data
    header = source.peek(start, _MODULE_INFO.size)
    if len(header) < _MODULE_INFO.size:
        return
    _, _, offset, size = _MODULE_INFO.unpack(header)
    at, end = start + offset, start + min(size, section.size_of_raw_data)
    for _ in range(_MOST_MODULES):
        header = source.peek(at, _MODULE_HEADER.size)
        if at >= end or len(header) < _MODULE_HEADER.size:
            return
        kind, length = _MODULE_HEADER.unpack(header)
        if length < _MODULE_HEADER.size:
            return
        yield kind, at + _MODULE_HEADER.size, length - _MODULE_HEADER.size
        at += length


def _text(source: ByteSource, offset: int, size: int) -> str:
    return printable(source.peek(offset, min(size, _MOST_PREFIX)).split(b"\0")[0])


def _module_name(source: ByteSource, base: int, size: int) -> str:
    """The content of ``.modname`` of an ELF64 object, a module; empty where it has none."""
    elf = source.peek(base, _SECTION_HEADER_SIZE)
    if len(elf) < _SECTION_HEADER_SIZE or not elf.startswith(b"\x7fELF\x02"):
        return ""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    count, names_index = struct.unpack_from("<HH", elf, 0x3C)
    count = min(count, _MOST_SECTIONS)
    headers = source.peek(base + table, count * _SECTION_HEADER_SIZE) if table < size else b""
    if len(headers) < count * _SECTION_HEADER_SIZE or names_index >= count:
        return ""
    rows = [_SECTION_HEADER.unpack_from(headers, number * _SECTION_HEADER_SIZE) for number in range(count)]
    _, _, _, _, names_offset, names_size = rows[names_index]
    if names_offset >= size:
        return ""
    names = source.peek(base + names_offset, min(names_size, _TEXT_LIMIT))
    for name, _, _, _, offset, length in rows:
        if names[name:].startswith(b".modname\0") and offset < size:
            return source.peek(base + offset, min(length, 64)).split(b"\0")[0].decode("ascii", "replace")
    return ""
