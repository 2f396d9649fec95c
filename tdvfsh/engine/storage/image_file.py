"""A file of the host that holds a disk image, read while a guest runs and watched for changes from outside."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from tdvfsh import host
from tdvfsh.errors import FormatError, host_error
from tdvfsh.formats.mapped import require_file
from tdvfsh.lazy_typing import Final

SECTOR: Final = 512


class ImageFile:
    """The file, open for reading.

    Args:
        path: Its name.

    Attributes:
        path: Its name.
        size: Its bytes when it was opened.

    Raises:
        HostError: It cannot be read.
        FormatError: It is not a file, or too short for a disk.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        require_file(path)
        try:
            self._descriptor = os.open(path, os.O_RDONLY | host.O_BINARY | host.O_CLOEXEC | host.O_NONBLOCK)
        except OSError as error:
            raise host_error(path, error) from None
        self._state = self._now()
        self.size = self._state[0]
        if self.size < SECTOR:
            self.close()
            raise FormatError(path, "not a disk image: shorter than a sector")

    def close(self) -> None:
        """Close it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _now(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def check_unchanged(self) -> None:
        """Raise FormatError where another program has written the file: a guest has read what was there before."""
        if self._now() != self._state:
            raise FormatError(self.path, "the disk image was changed by another program while the guest used it")

    def check_place(self) -> None:
        """Raise FormatError where the name is another file's by now, or nobody's."""
        try:
            status = os.stat(self.path)
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self.identity:
            raise FormatError(self.path, "the disk image was replaced or removed while the guest used it")

    def data_ranges(self) -> Iterator[tuple[int, int]]:
        """The parts of the file that are not holes, as far as the host says."""
        at = 0
        while at < self.size:
            start, end = at, self.size
            if hasattr(os, "SEEK_DATA"):
                try:
                    start = os.lseek(self._descriptor, at, os.SEEK_DATA)
                    end = min(os.lseek(self._descriptor, start, os.SEEK_HOLE), self.size)
                except OSError as error:
                    if error.errno == errno.ENXIO:  # only a hole is left
                        return
            yield start, end
            at = end

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes, fewer at the end.

        Raises:
            FormatError: The file was changed.
            HostError: It cannot be read.
        """
        parts = []
        try:
            while size > 0:
                data = host.pread(self._descriptor, size, offset)
                if not data:
                    break
                parts.append(data)
                offset, size = offset + len(data), size - len(data)
        except OSError as error:
            raise host_error(self.path, error) from None
        self.check_unchanged()
        return b"".join(parts)


class RawImage:
    """A raw image: the file's bytes are the disk's; a part of a sector at the end is not shown.

    Args:
        file: The file.
    """

    writable = False

    def __init__(self, file: ImageFile) -> None:
        self._file = file

    @property
    def disk_size(self) -> int:
        """Bytes, whole sectors."""
        return self._file.size // SECTOR * SECTOR

    def read_disk(self, offset: int, size: int) -> bytes:
        """A copy."""
        return self._file.read(offset, size)
