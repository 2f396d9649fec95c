"""The CodeView entry of a PE image's debug directory: the PDB that belongs to it.

Source: PE format specification, "Debug Directory"; edk2 MdePkg/Include/IndustryStandard/PeImage.h
(EFI_IMAGE_DEBUG_CODEVIEW_RSDS_ENTRY, _NB10_ENTRY, _MTOC_ENTRY).
"""

from __future__ import annotations

import struct
from uuid import UUID

from tdvfsh.formats.pe.parse import PeImage
from tdvfsh.lazy_typing import Final, NamedTuple

_DIRECTORY: Final = 6
_ENTRY: Final = struct.Struct("<IIHHIIII")
_CODEVIEW: Final = 2
_MOST_ENTRIES: Final = 64
_LONGEST: Final = 1024
_RSDS, _NB10, _MTOC = b"RSDS", b"NB10", b"MTOC"


class CodeView(NamedTuple):
    """A CodeView entry.

    Attributes:
        name: The PDB, or the program with debug information, as the linker had it: with its folder.
        guid: The PDB's; None in older entries and those of other linkers.
        age: The PDB's.
    """

    name: str
    guid: UUID | None = None
    age: int = 0

    @property
    def file_name(self) -> str:
        """The name without its folder."""
        return self.name.replace("\\", "/").rpartition("/")[2]


def codeview_of(pe: PeImage, data: bytes | memoryview) -> CodeView | None:
    """The first CodeView entry of an image; None where there is none that can be read.

    Args:
        pe: Its headers.
        data: The file.
    """
    if len(pe.data_directories) <= _DIRECTORY:
        return None
    directory = pe.data_directories[_DIRECTORY]
    start = _file_offset(pe, directory.virtual_address)
    if start is None:
        return None
    for number in range(min(directory.size // _ENTRY.size, _MOST_ENTRIES)):
        entry = bytes(data[start + number * _ENTRY.size : start + (number + 1) * _ENTRY.size])
        if len(entry) < _ENTRY.size:
            return None
        _, _, _, _, kind, size, _, pointer = _ENTRY.unpack(entry)
        if kind == _CODEVIEW:
            found = _read(bytes(data[pointer : pointer + min(size, _LONGEST)]))
            if found is not None:
                return found
    return None


def _file_offset(pe: PeImage, address: int) -> int | None:
    for section in pe.sections:
        if section.virtual_address <= address < section.virtual_address + section.size_of_raw_data:
            return section.pointer_to_raw_data + address - section.virtual_address
    return None


def _read(record: bytes) -> CodeView | None:
    head = {_RSDS: 24, _NB10: 16, _MTOC: 20}.get(record[:4])
    if head is None or len(record) <= head:
        return None
    name = record[head:].split(b"\0")[0].decode("utf-8", "replace")
    if record[:4] != _RSDS:
        return CodeView(name) if name else None
    (age,) = struct.unpack_from("<I", record, 20)
    return CodeView(name, UUID(bytes_le=record[4:20]), age) if name else None
