"""A qcow2 image. What is not read is refused by name, and so is a backing file.

libqcow 20260703, which was tried, reads a compressed cluster as zeros where its place in the file is odd:
half of the clusters of what ``qemu-img convert -c`` writes. Readers of the dissect family are AGPL.

Source: QEMU docs/interop/qcow2.rst (header, incompatible features, tables, compressed clusters) and block/qcow2.h
(limits).
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

from tdvfsh.engine.storage.image_file import SECTOR, ImageFile
from tdvfsh.errors import FormatError
from tdvfsh.lazy_typing import Final
from tdvfsh.units import MIB

MAGIC: Final = b"QFI\xfb"
_HEADER: Final = struct.Struct(">4sIQIIQIIQ")
_FEATURES: Final = struct.Struct(">Q")
_ENTRY: Final = struct.Struct(">Q")
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
_COMPRESSED: Final = 1 << 62
_ZEROS: Final = 1
_PLACE: Final = 0x00FFFFFFFFFFFE00
_CACHED: Final = 4 * MIB


class Qcow2Image:
    """The disk in the image.

    Args:
        file: The image.

    Raises:
        FormatError: It is damaged, encrypted, has a backing file, or features that cannot be read.
    """

    writable = False

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._version, self._bits, self._size, self._first_table = _check_header(file)
        self._cluster = 1 << self._bits
        kept = max(1, _CACHED >> self._bits)
        self._second_table = lru_cache(kept)(self._read_second_table)
        self._unpacked = lru_cache(kept)(self._unpack)

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
            within = offset % self._cluster
            part = min(size, self._cluster - within)
            parts.append(self._read(offset, within, part))
            offset, size = offset + part, size - part
        return b"".join(parts)

    def _read(self, offset: int, within: int, size: int) -> bytes:
        """A part of one cluster."""
        entry = self._entry(offset)
        if entry & _COMPRESSED:
            return self._unpacked(entry, offset - within)[within : within + size]
        place = entry & _PLACE
        if entry & _ZEROS and self._version < 3:
            raise self._damaged(offset, "has a flag of version 3")
        if entry & _ZEROS or not place:
            return bytes(size)
        if place % self._cluster:
            raise self._damaged(offset, "is not where a cluster can be")
        data = self._file.read(place + within, size)
        if len(data) < size:
            raise self._damaged(offset, "lies beyond the end of the file")
        return data

    def _entry(self, offset: int) -> int:
        """The entry of the second table for a place of the disk; 0 where there is none."""
        number = offset >> self._bits
        per_table = self._cluster // _ENTRY.size
        at = self._first_table + number // per_table * _ENTRY.size
        place = _ENTRY.unpack(self._file.read(at, _ENTRY.size))[0] & _PLACE
        if not place:
            return 0
        if place % self._cluster:
            raise self._damaged(offset, "has a table that is not where a cluster can be")
        table = self._second_table(place)
        if len(table) < self._cluster:
            raise self._damaged(offset, "has a table beyond the end of the file")
        return int(_ENTRY.unpack_from(table, number % per_table * _ENTRY.size)[0])

    def _read_second_table(self, place: int) -> bytes:
        return self._file.read(place, self._cluster)

    def _unpack(self, entry: int, offset: int) -> bytes:
        """A compressed cluster: raw deflate, in so many sectors of the file."""
        size_bits = self._bits - 8
        place = entry & ((1 << 62 - size_bits) - 1)
        sectors = (entry >> 62 - size_bits & ((1 << size_bits) - 1)) + 1
        packed = self._file.read(place, sectors * SECTOR - place % SECTOR)
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, self._cluster)
        except zlib.error:
            data = b""
        if len(data) < self._cluster:
            raise self._damaged(offset, "is compressed and cannot be unpacked")
        return data

    def _damaged(self, offset: int, why: str) -> FormatError:
        return FormatError(self._file.path, f"a damaged qcow2 image: the disk at {offset:#x} {why}")


def _check_header(file: ImageFile) -> tuple[int, int, int, int]:
    """Version, bits of a cluster, bytes of the disk, and place of the first table.

    Raises:
        FormatError: It would take much memory or other files, or is not known.
    """
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
    return version, cluster_bits, size, l1_offset
