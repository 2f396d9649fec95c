"""What file systems have in common: an entry's facts, failures, sizes on disk.

A path inside a file system is a tuple of names; names are found without regard to case, as on FAT.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.lazy_typing import NamedTuple
from tdvfsh.uefi.status import EfiStatus

BLOCK_SIZE = 512
_DIRECTORY_ENTRY = 32  # bytes of one FAT directory entry
_CHARACTERS_PER_ENTRY = 13  # of a long name

Parts = Sequence[str]


class FileSystemError(Exception):
    """Failure of a file operation, as the firmware's file protocol would report it."""

    def __init__(self, status: EfiStatus) -> None:
        self.status = status
        super().__init__(status.phrase)


class FileInfo(NamedTuple):
    """EFI_FILE_INFO of one entry.

    ``size`` is in bytes; ``modified``, ``created`` and ``accessed`` are in seconds since 1970 UTC, ``accessed`` None
    where it is as ``modified``; ``attributes`` are letters of ``adhrs``.
    """

    name: str
    is_directory: bool
    size: int
    modified: int
    created: int
    attributes: str
    accessed: int | None = None

    @property
    def physical_size(self) -> int:
        """Bytes on disk, in whole blocks."""
        return whole_blocks(self.size)


def whole_blocks(size: int) -> int:
    """Bytes in whole blocks."""
    return -(-size // BLOCK_SIZE) * BLOCK_SIZE


def entry_size(name: str) -> int:
    """Bytes that a name takes in a FAT directory.

    A name of one case that fits 8.3 takes one entry; any other one more for every 13 characters.
    """
    stem, _, extension = name.rpartition(".") if "." in name else (name, "", "")
    short = len(stem) <= 8 and len(extension) <= 3 and "." not in stem and " " not in name
    one_case = all(part in (part.lower(), part.upper()) for part in (stem, extension))
    count = 1 if short and one_case else 1 + -(-len(name) // _CHARACTERS_PER_ENTRY)
    return count * _DIRECTORY_ENTRY


def directory_size(names: Sequence[str], *, root: bool) -> int:
    """Bytes that a FAT directory of these names takes, in whole blocks; the root shows as 0."""
    if root:
        return 0
    return whole_blocks(2 * _DIRECTORY_ENTRY + sum(map(entry_size, names)))
