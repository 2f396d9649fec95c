"""A disk image as a drive of a machine: read-only, or with what the guest writes in memory until it is committed."""

from __future__ import annotations

import os
from types import TracebackType

from tdvfsh.engine.storage.image_file import ImageFile, RawImage
from tdvfsh.engine.storage.overlay import Overlay
from tdvfsh.engine.storage.qcow2 import MAGIC, Qcow2Image
from tdvfsh.errors import UsageError, host_error
from tdvfsh.lazy_typing import BinaryIO, Final
from tdvfsh.uefi.disk import ReadableDisk
from tdvfsh.whole_file import replacing

_WRITABLE: Final = ",rw"
_PIECE: Final = 1 << 20


class Drive:
    """An image that is open: a context.

    Args:
        path: The image, raw or qcow2.
        writable: Whether the guest may write.

    Attributes:
        path: The image.
        overlay: What the guest has written; None for a drive that is read-only.

    Raises:
        HostError: It cannot be read, or the extra that reads qcow2 is not installed.
        FormatError: It is not a disk image.
    """

    def __init__(self, path: str, writable: bool = False) -> None:
        self.path = path
        self._file = ImageFile(path)
        try:
            self.is_raw = self._file.read(0, len(MAGIC)) != MAGIC
            self._disk: ReadableDisk = RawImage(self._file) if self.is_raw else Qcow2Image(self._file)
        except BaseException:
            self._file.close()
            raise
        self.overlay = Overlay(self._disk) if writable else None

    def __enter__(self) -> Drive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    # ---- the disk -----------------------------------------------------------------------------------------------

    @property
    def disk_size(self) -> int:
        """Bytes, whole sectors."""
        return self._disk.disk_size

    @property
    def writable(self) -> bool:
        """Whether the guest may write."""
        return self.overlay is not None

    def read_disk(self, offset: int, size: int) -> bytes:
        """A copy."""
        return (self.overlay or self._disk).read_disk(offset, size)

    def write_disk(self, offset: int, data: bytes) -> None:
        """Keep ``data`` in memory; raises FileSystemError."""
        assert self.overlay is not None
        self.overlay.write_disk(offset, data)

    def is_same_file(self, other: Drive) -> bool:
        """Whether both are one file."""
        return self._file.identity == other._file.identity

    # ---- the file -----------------------------------------------------------------------------------------------

    def check_unchanged(self) -> None:
        """Raise FormatError where another program has written the file, or put another one in its place."""
        self._file.check_unchanged()
        self._file.check_place()

    def commit(self) -> int:
        """Write the image anew with what the guest wrote, whole or not at all; returns the bytes that it wrote.

        Raises:
            FormatError: The file was changed by another program.
            HostError: The host refuses.
        """
        overlay = self.overlay
        if overlay is None or not overlay.written_bytes:
            return 0
        self.check_unchanged()
        try:
            with replacing(self.path) as file:
                self._copy_to(file)
                for offset, data in overlay.chunks():
                    file.seek(offset)
                    file.write(data)
                file.truncate(self._file.size)
        except OSError as error:
            raise host_error(self.path, error) from None
        return overlay.written_bytes

    def _copy_to(self, file: BinaryIO) -> None:
        """The file's bytes; holes stay holes."""
        for start, end in self._file.data_ranges():
            for at in range(start, end, _PIECE):
                file.seek(at)
                file.write(self._file.read(at, min(_PIECE, end - at)))


def open_drive(text: str) -> Drive:
    """Open what ``--disk`` names: ``FILE`` or ``FILE,rw``.

    Raises:
        UsageError: No file is named.
        HostError, FormatError: See :class:`Drive`.
    """
    writable = text.endswith(_WRITABLE)
    path = text.removesuffix(_WRITABLE) if writable else text
    if not path:
        raise UsageError(f"--disk {text}: names no file")
    if not os.path.exists(path) and path.endswith((",ro", ",r", ",w", ",raw", ",qcow2")):
        raise UsageError(f"--disk {text}: only ,rw can follow the file; raw and qcow2 are told apart by what is in it")
    return Drive(path, writable)
