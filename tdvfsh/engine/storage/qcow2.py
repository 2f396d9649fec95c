"""A qcow2 image, read by libqcow. What that library does not know is refused by name, and so is a backing file.

libqcow is LGPL and loaded at run time, from the extra ``disk``; readers of the dissect family are AGPL.

Source: QEMU docs/interop/qcow2.rst (header, incompatible features), block/qcow2.h (limits).
"""

from __future__ import annotations

import struct
from importlib import import_module

from tdvfsh.engine.storage.image_file import SECTOR, ImageFile
from tdvfsh.errors import FormatError, MissingError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.units import MIB

MAGIC: Final = b"QFI\xfb"
_HEADER: Final = struct.Struct(">4sIQIIQIIQ")
_FEATURES: Final = struct.Struct(">Q")
_FEATURES_OFFSET: Final = 72
_CLUSTER_BITS: Final = range(9, 22)
_LARGEST_TABLE: Final = 32 * MIB
_LARGEST_DISK: Final = 1 << 56
_INCOMPATIBLE: Final = {
    0: "it was not closed cleanly, repair it with 'qemu-img check -r all'",
    1: "it is marked as corrupt",
    2: "its data are in another file",
    3: "its clusters are compressed with zstd",
    4: "it has extended L2 entries",
}
_KNOWN_VERSIONS: Final = (2, 3)
_TRANSFER: Final = 8 * MIB


class Qcow2Image:
    """The disk in the image.

    Args:
        file: The image.

    Raises:
        FormatError: It is damaged, encrypted, has a backing file, or features that cannot be read.
        MissingError: The extra is not installed.
    """

    writable = False

    def __init__(self, file: ImageFile) -> None:
        self._source = file
        _check_header(file)
        try:
            library: Any = import_module("pyqcow")
        except ImportError:
            raise MissingError(f"{file.path}: qcow2 images are read by libqcow; pip install 'tdvfsh[disk]'") from None
        self._image = library.file()
        try:
            self._image.open_file_object(_FileObject(file))
            if self._image.is_locked():
                raise FormatError(file.path, "an encrypted qcow2 image")
            self._size: int = self._image.get_media_size()
        except OSError:
            raise FormatError(file.path, "a damaged qcow2 image") from None

    @property
    def disk_size(self) -> int:
        """Bytes, whole sectors."""
        return self._size // SECTOR * SECTOR

    def read_disk(self, offset: int, size: int) -> bytes:
        """A copy.

        Raises:
            FormatError: A table or a cluster lies outside of the file, or is damaged.
        """
        parts = []
        while size > 0:
            try:
                data: bytes = self._image.read_buffer_at_offset(min(size, _TRANSFER), offset)
            except OSError:
                data = b""
            self._source.check_unchanged()
            if not data:
                raise FormatError(self._source.path, f"a damaged qcow2 image: the disk at {offset:#x} cannot be read")
            parts.append(data)
            offset, size = offset + len(data), size - len(data)
        return b"".join(parts)


class _FileObject:
    """The file as the library reads it."""

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._file.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = self._file.size - self._at if size < 0 else min(size, self._file.size - self._at)
        data = self._file.read(self._at, max(0, size))
        self._at += len(data)
        return data

    def get_size(self) -> int:
        return self._file.size


def _check_header(file: ImageFile) -> None:
    """Refuse what would take much memory, other files, or a reader that this one is not."""
    path = file.path
    raw = file.read(0, _FEATURES_OFFSET + _FEATURES.size)
    if len(raw) < _FEATURES_OFFSET + _FEATURES.size:
        raise FormatError(path, "a qcow2 image that ends in its header")
    _, version, backing, _, cluster_bits, size, crypt, l1_entries, l1_offset = _HEADER.unpack_from(raw)
    if version not in _KNOWN_VERSIONS:
        raise FormatError(path, f"a qcow image of version {version}, not 2 or 3", 4)
    if backing:
        raise FormatError(path, "has a backing file, which is not read: 'qemu-img convert' makes one image of both", 8)
    if crypt:
        raise FormatError(path, "an encrypted qcow2 image", 32)
    if cluster_bits not in _CLUSTER_BITS:
        raise FormatError(path, f"a qcow2 image with clusters of 2^{cluster_bits} bytes, not 2^9 to 2^21", 20)
    if size > _LARGEST_DISK:
        raise FormatError(path, f"a qcow2 image of a disk of {size:,} bytes", 24)
    table = 8 * l1_entries
    needed = -(-size // (1 << 2 * cluster_bits - 3))
    if (
        table > _LARGEST_TABLE
        or l1_entries < needed
        or l1_offset + table > file.size
        or l1_offset % (1 << cluster_bits)
    ):
        raise FormatError(path, "a qcow2 image whose first table is not in the file, or of an invalid size", 36)
    if version > _KNOWN_VERSIONS[0]:
        features = _FEATURES.unpack_from(raw, _FEATURES_OFFSET)[0]
        for bit in range(features.bit_length()):
            if features >> bit & 1:
                raise FormatError(path, f"a qcow2 image: {_INCOMPATIBLE.get(bit, f'unknown feature {bit}')}", 72)
