"""A disk image in a file of the host."""

from __future__ import annotations

from tdvfsh.formats.mapped import copy_of
from tdvfsh.lazy_typing import BinaryIO
from tdvfsh.uefi.disk import SECTOR
from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.uefi.status import EfiStatus


class ImageDisk:
    """A disk image in a file of the host; FormatError where the file became shorter.

    Args:
        view: The file's bytes.
        file: The same file open for writing, unbuffered; None for a disk that is read-only.
    """

    def __init__(self, view: memoryview, file: BinaryIO | None = None) -> None:
        self._view = view
        self._file = file

    @property
    def disk_size(self) -> int:
        """Bytes, whole sectors."""
        return len(self._view) // SECTOR * SECTOR

    @property
    def writable(self) -> bool:
        """Whether the file is open for writing."""
        return self._file is not None

    def read_disk(self, offset: int, size: int) -> bytes:
        """A copy."""
        return copy_of(self._view[offset : offset + size])

    def write_disk(self, offset: int, data: bytes) -> None:
        """Into the host's file, at once."""
        if self._file is None:
            raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)
        try:
            self._file.seek(offset)
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            raise FileSystemError(EfiStatus.EFI_DEVICE_ERROR) from None
