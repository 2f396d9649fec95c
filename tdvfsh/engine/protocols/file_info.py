"""EFI_FILE_INFO: facts of a file as bytes, and what a program wants changed.

Source: UEFI 2.10 13.5.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime

from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.efi_time import pack_time
from tdvfsh.uefi.filesystem import FileInfo

ATTRIBUTE_DIRECTORY: Final = 0x10
_LETTERS: Final = {"r": 0x01, "h": 0x02, "s": 0x04, "d": ATTRIBUTE_DIRECTORY, "a": 0x20}
_FIXED: Final = struct.Struct("<QQQ16s16s16sQ")
_TIME: Final = struct.Struct("<HBBBBBxI4x")


SIZE_OF_EFI_FILE_INFO: Final = _FIXED.size
SIZE_OF_EFI_FILE_SYSTEM_INFO: Final = 36
VALID_ATTRIBUTES: Final = 0x37
_LABEL_LENGTH: Final = 11
_NOT_IN_LABELS: Final = frozenset('"*+,./:;<=>?[\\]|')


class FileChange(NamedTuple):
    """The changes that SetInfo requests.

    Attributes:
        size: Bytes.
        created: Seconds since 1970 UTC; None leaves it.
        modified: Likewise.
        attributes: Letters of ``ahrs``.
        is_directory: The directory bit, which cannot change.
        name: The file's new name, or its path.
    """

    size: int
    created: int | None
    modified: int | None
    attributes: str
    is_directory: bool
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
    """The requested changes of the structure at ``address``; None where a date or an attribute in it is invalid."""
    _, size, _, created, _, modified, attributes = _FIXED.unpack(ram.read(address, _FIXED.size))
    try:
        made, changed = _seconds(created), _seconds(modified)
    except ValueError:
        return None
    if attributes & ~VALID_ATTRIBUTES:
        return None
    letters = "".join(letter for letter, bit in _LETTERS.items() if letter != "d" and attributes & bit)
    is_directory = bool(attributes & ATTRIBUTE_DIRECTORY)
    name = ram.utf16(address + _FIXED.size)
    return FileChange(
        size=size, created=made, modified=changed, attributes=letters, is_directory=is_directory, name=name
    )


def volume_label(text: str) -> str | None:
    """A label as FAT keeps it; None where it cannot."""
    label = text.upper()
    if len(label) > _LABEL_LENGTH or any(one in _NOT_IN_LABELS or not 0x20 <= ord(one) < 0x7F for one in label):
        return None
    return label.rstrip(" ")


def _seconds(data: bytes) -> int | None:
    if not any(data):
        return None
    year, month, day, hour, minute, second, _ = _TIME.unpack(data)
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
