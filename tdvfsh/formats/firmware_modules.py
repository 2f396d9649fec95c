"""The modules of a firmware image: PE and TE images in its volumes, packed ones too, by the names of their files.

Source: PI 1.8 volume 3, chapters 2 and 3 (files, sections, volumes); edk2 MdeModulePkg/Library/LzmaCustomDecompressLib
for the GUID of LZMA sections.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Callable, Iterator
from functools import cached_property

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import Guid
from tdvfsh.units import MIB, align_up

LZMA_SECTION_GUID: Final = Guid("ee4e5898-3914-4259-9d6e-dc7bd79403cf")

_VOLUME_SIGNATURE: Final = b"_FVH"
_SIGNATURE_OFFSET: Final = 40
_VOLUME_HEADER: Final = struct.Struct("<16x16xQ4sIHHH")
_EXTENDED_HEADER_SIZE: Final = struct.Struct("<16xI")
_FILE_HEADER: Final = struct.Struct("<16sHBB3sB")
_LARGE_FILE: Final = 1
_LARGE_HEADER_SIZE: Final = 32
_SECTION_HEADER_SIZE: Final = 4
_EXTENDED_SIZE: Final = 0xFFFFFF
_GUID_DEFINED, _PE32, _TE, _USER_INTERFACE, _VOLUME = 0x02, 0x10, 0x12, 0x15, 0x17
_GUID_SECTION: Final = struct.Struct("<16sHH")
_MOST_UNPACKED: Final = 256 * MIB
_DEEPEST: Final = 8


class FirmwareModule(NamedTuple):
    """An executable of a firmware image.

    Attributes:
        name: What its user interface section calls it, else its GUID.
        guid: The name of its file.
        volume: Bytes of the piece that it lies in: the image itself, or a packed section's contents.
        offset: Where its PE or TE image begins in ``volume``.
        size: Bytes of that image.
        is_te: Whether it is a TE image.
    """

    name: str
    guid: Guid
    volume: memoryview
    offset: int
    size: int
    is_te: bool

    @property
    def image(self) -> memoryview:
        """Its PE or TE image."""
        return self.volume[self.offset : self.offset + self.size]


class PackedSection(NamedTuple):
    """An LZMA section that stands in an image itself: offset and size of its stream."""

    offset: int
    size: int


class FirmwareContents:
    """What is in a firmware image; packed sections are unpacked once, and only when they are asked for.

    Args:
        data: The image.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
        self._unpacked: dict[tuple[int, int], memoryview] = {}

    @cached_property
    def modules(self) -> tuple[FirmwareModule, ...]:
        """All modules, in the order of the file; what does not hold together is left out."""
        return _modules(self._view, self.unpack)

    @cached_property
    def _unpacked_part(self) -> tuple[tuple[FirmwareModule, ...], tuple[PackedSection, ...]]:
        found: list[PackedSection] = []

        def note(packed: memoryview, offset: int) -> memoryview:
            found.append(PackedSection(offset, len(packed)))
            return memoryview(b"")

        return _modules(self._view, note), tuple(found)

    @property
    def modules_in_place(self) -> tuple[FirmwareModule, ...]:
        """The modules that run in the flash: those that are not in packed sections."""
        return self._unpacked_part[0]

    @property
    def packed(self) -> tuple[PackedSection, ...]:
        """The LZMA sections that are not inside others."""
        return self._unpacked_part[1]

    def unpack(self, packed: memoryview, offset: int) -> memoryview:
        """What the LZMA stream ``packed``, ``offset`` bytes from its volume's start, holds; empty if it is broken."""
        key = offset, len(packed)
        if packed.obj is not self._data:
            return _unpack(packed)
        if key not in self._unpacked:
            self._unpacked[key] = _unpack(packed)
        return self._unpacked[key]

    def contents(self, section: PackedSection) -> memoryview:
        """What a packed section holds."""
        return self.unpack(self._view[section.offset : section.offset + section.size], section.offset)


Unpack = Callable[[memoryview, int], memoryview]


class _File(NamedTuple):
    """A file of a volume, or a packed section's contents in its name: ``view[start:end]`` are its sections."""

    guid: Guid
    view: memoryview
    start: int
    end: int

    def images(self) -> Iterator[tuple[str, int, int, bool]]:
        """Name, offset, size and kind of its executables."""
        sections = list(_sections(self.view, self.start, self.end))
        names = [
            bytes(self.view[at:stop]).decode("utf-16-le", "replace").partition("\0")[0]
            for kind, at, stop, _ in sections
            if kind == _USER_INTERFACE
        ]
        name = names[0] if names and names[0] and names[0].isprintable() else str(self.guid)
        for kind, at, stop, _ in sections:
            if kind in (_PE32, _TE):
                yield name, at, stop - at, kind == _TE


def _modules(view: memoryview, unpack: Unpack) -> tuple[FirmwareModule, ...]:
    return tuple(
        FirmwareModule(name=name, guid=file.guid, volume=file.view, offset=at, size=size, is_te=is_te)
        for file in _all_files(view, unpack)
        for name, at, size, is_te in file.images()
    )


def _all_files(view: memoryview, unpack: Unpack) -> Iterator[_File]:
    """The files of all volumes of an image, and those inside of their sections."""
    data = bytes(view)
    at = 0
    while (signature := data.find(_VOLUME_SIGNATURE, at)) >= 0:
        start = signature - _SIGNATURE_OFFSET
        length = _volume_length(view, start)
        if length:
            yield from _volume_files(view, start, length, unpack, 0)
        at = start + length if length else signature + len(_VOLUME_SIGNATURE)


def _volume_length(view: memoryview, start: int) -> int:
    if start < 0 or start + _VOLUME_HEADER.size > len(view):
        return 0
    length, signature = _VOLUME_HEADER.unpack_from(view, start)[:2]
    return length if signature == _VOLUME_SIGNATURE and _VOLUME_HEADER.size < length <= len(view) - start else 0


def _volume_files(view: memoryview, start: int, length: int, unpack: Unpack, depth: int) -> Iterator[_File]:
    _, _, _, header_length, _, extended = _VOLUME_HEADER.unpack_from(view, start)
    at, end = start + header_length, start + length
    if extended and start + extended + _EXTENDED_HEADER_SIZE.size <= end:
        at = start + extended + _EXTENDED_HEADER_SIZE.unpack_from(view, start + extended)[0]
    while (at := start + align_up(at - start, 8)) + _FILE_HEADER.size <= end:
        raw_guid, _, _, attributes, raw_size, _ = _FILE_HEADER.unpack_from(view, at)
        size, header = int.from_bytes(raw_size, "little"), _FILE_HEADER.size
        if attributes & _LARGE_FILE and at + _LARGE_HEADER_SIZE <= end:
            size, header = struct.unpack_from("<Q", view, at + _FILE_HEADER.size)[0], _LARGE_HEADER_SIZE
        if size < header or at + size > end:
            return
        yield from _with_nested(_File(Guid(bytes_le=raw_guid), view, at + header, at + size), unpack, depth)
        at += size


def _with_nested(file: _File, unpack: Unpack, depth: int) -> Iterator[_File]:
    yield file
    if depth == _DEEPEST:
        return
    view = file.view
    for kind, at, stop, header in _sections(view, file.start, file.end):
        if kind == _VOLUME:
            length = _volume_length(view[:stop], at)
            if length:
                yield from _volume_files(view, at, length, unpack, depth + 1)
        elif kind == _GUID_DEFINED and at + _GUID_SECTION.size <= stop:
            section, offset, _ = _GUID_SECTION.unpack_from(view, at)
            inner = view, header + offset, stop
            if section == LZMA_SECTION_GUID.bytes_le:
                unpacked = unpack(view[header + offset : stop], header + offset)
                inner = unpacked, 0, len(unpacked)
            yield from _with_nested(_File(file.guid, *inner), unpack, depth + 1)


def _sections(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Type, start and end of the contents, and start of the header, of each section."""
    at = start
    while at + _SECTION_HEADER_SIZE <= end:
        size, header = int.from_bytes(view[at : at + 3], "little"), _SECTION_HEADER_SIZE
        if size == _EXTENDED_SIZE and at + 8 <= end:
            size, header = int.from_bytes(view[at + 4 : at + 8], "little"), 8
        if size < header or at + size > end:
            return
        yield view[at + 3], at + header, at + size, at
        at = start + align_up(at + size - start, 4)


def _unpack(packed: memoryview) -> memoryview:
    """What an LZMA section holds; empty where it is broken."""
    try:
        return memoryview(lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(packed, _MOST_UNPACKED))
    except (lzma.LZMAError, EOFError):
        return memoryview(b"")
