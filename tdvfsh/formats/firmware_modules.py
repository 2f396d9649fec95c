"""The modules of a firmware image: PE and TE images in its volumes, packed ones too, by the names of their files.

Source: PI 1.8 volume 3, chapters 2 and 3 (files, sections, volumes); edk2 MdeModulePkg/Library/LzmaCustomDecompressLib
for the GUID of LZMA sections.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

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


def firmware_modules(data: bytes) -> tuple[FirmwareModule, ...]:
    """All modules of an image, in the order of the file; what does not hold together is left out."""
    view = memoryview(data)
    found: list[FirmwareModule] = []
    at = 0
    while (signature := data.find(_VOLUME_SIGNATURE, at)) >= 0:
        start = signature - _SIGNATURE_OFFSET
        length = _volume_length(view, start)
        if length:
            found += _volume_modules(view, start, length, 0)
        at = start + length if length else signature + len(_VOLUME_SIGNATURE)
    return tuple(found)


def _volume_length(view: memoryview, start: int) -> int:
    if start < 0 or start + _VOLUME_HEADER.size > len(view):
        return 0
    length, signature = _VOLUME_HEADER.unpack_from(view, start)[:2]
    return length if signature == _VOLUME_SIGNATURE and _VOLUME_HEADER.size < length <= len(view) - start else 0


def _volume_modules(view: memoryview, start: int, length: int, depth: int) -> Iterator[FirmwareModule]:
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
        yield from _file_modules(Guid(bytes_le=raw_guid), view, at + header, at + size, depth)
        at += size


def _file_modules(guid: Guid, view: memoryview, start: int, end: int, depth: int) -> Iterator[FirmwareModule]:
    images: list[tuple[int, int, bool]] = []
    name = ""
    for kind, at, stop, header in _sections(view, start, end):
        if kind == _USER_INTERFACE:
            name = bytes(view[at:stop]).decode("utf-16-le", "replace").partition("\0")[0]
        elif kind in (_PE32, _TE):
            images.append((at, stop - at, kind == _TE))
        elif depth < _DEEPEST:
            yield from _nested(guid, view, kind, at, stop, header, depth)
    shown = name if name.isprintable() and name else str(guid)
    for at, size, is_te in images:
        yield FirmwareModule(name=shown, guid=guid, volume=view, offset=at, size=size, is_te=is_te)


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


def _nested(
    guid: Guid, view: memoryview, kind: int, at: int, stop: int, header: int, depth: int
) -> Iterator[FirmwareModule]:
    if kind == _VOLUME:
        length = _volume_length(view[:stop], at)
        if length:
            yield from _volume_modules(view, at, length, depth + 1)
    elif kind == _GUID_DEFINED and at + _GUID_SECTION.size <= stop:
        section, offset, _ = _GUID_SECTION.unpack_from(view, at)
        packed = view[header + offset : stop]
        if section == LZMA_SECTION_GUID.bytes_le:
            unpacked = _unpack(packed)
            yield from _file_modules(guid, unpacked, 0, len(unpacked), depth + 1)
        else:
            yield from _file_modules(guid, view, header + offset, stop, depth + 1)


def _unpack(packed: memoryview) -> memoryview:
    """What an LZMA section holds; empty where it is broken."""
    try:
        return memoryview(lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(packed, _MOST_UNPACKED))
    except (lzma.LZMAError, EOFError):
        return memoryview(b"")
