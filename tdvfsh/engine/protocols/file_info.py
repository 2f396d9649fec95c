"""EFI_FILE_INFO: facts of a file as bytes, and what a program wants changed.

Source: UEFI 2.10 13.5.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Final, NamedTuple

from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.uefi.efi_time import pack_time
from tdvfsh.uefi.filesystem import FileInfo

ATTRIBUTE_DIRECTORY: Final = 0x10
_LETTERS: Final = {"r": 0x01, "h": 0x02, "s": 0x04, "d": ATTRIBUTE_DIRECTORY, "a": 0x20}
_FIXED: Final = struct.Struct("<QQQ16s16s16sQ")
_TIME: Final = struct.Struct("<HBBBBBxI4x")


class FileChange(NamedTuple):
    """The changes that SetInfo requests.

    Attributes:
        size: Bytes.
        created: Seconds since 1970 UTC; None leaves it.
        modified: Likewise.
        attributes: Letters of ``ahrs``.
        name: The file's new name, or its path.
    """

    size: int
    created: int | None
    modified: int | None
    attributes: str
    name: str


def pack_file_info(info: FileInfo) -> bytes:
    """The structure of an entry; the host keeps no time of the last access, so it shows as the last change's."""
    name = (info.name + "\0").encode("utf-16-le")
    attributes = sum(_LETTERS[letter] for letter in set(info.attributes) if letter in _LETTERS)
    created = pack_time(datetime.fromtimestamp(info.created, UTC))
    modified = pack_time(datetime.fromtimestamp(info.modified, UTC))
    size = _FIXED.size + len(name)
    return _FIXED.pack(size, info.size, info.physical_size, created, modified, modified, attributes) + name


def read_file_change(ram: GuestRam, address: int) -> FileChange | None:
    """The requested changes of the structure at ``address``; None where a date in it is invalid."""
    _, size, _, created, _, modified, attributes = _FIXED.unpack(ram.read(address, _FIXED.size))
    try:
        made, changed = _seconds(created), _seconds(modified)
    except ValueError:
        return None
    letters = "".join(letter for letter, bit in _LETTERS.items() if letter != "d" and attributes & bit)
    return FileChange(size, made, changed, letters, ram.utf16(address + _FIXED.size))


def _seconds(data: bytes) -> int | None:
    if not any(data):
        return None
    year, month, day, hour, minute, second, _ = _TIME.unpack(data)
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
