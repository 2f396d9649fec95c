"""A FAT32 disk that shows a volume: tables and directories are made, file data is read when a sector of it is.

There is no partition table: the file system starts at sector 0. Every file lies in one piece.

Source: Microsoft FAT specification (FAT: General Overview of On-Disk Format, 1.03); clusters of 4 KiB, or 32 KiB for
large volumes; as many clusters as FAT32 must have at least.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime

from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.disk import SECTOR
from tdvfsh.uefi.filesystem import FileInfo, FileSystemError, Parts
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.volume import Volume

_RESERVED_SECTORS: Final = 32
_FIRST_CLUSTER: Final = 2
_MINIMUM_CLUSTERS: Final = 66_000
_END_OF_CHAIN: Final = 0x0FFFFFFF
MAXIMUM_ENTRIES: Final = 20_000
"""Files and folders that a disk made from a folder has at most."""
_LARGE: Final = 32 << 20
_ATTRIBUTES: Final = {"r": 0x01, "h": 0x02, "s": 0x04, "d": 0x10, "a": 0x20}
_LONG_NAME: Final = 0x0F
_ALLOWED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$%'-_@~`!(){}^#&")
_CHARACTERS: Final = 13

Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class _Segment:
    """Bytes ``[start, start + size)`` of the disk, and the function that reads them by offset and size."""

    start: int
    size: int
    read: Read


class FatDisk:
    """The disk; laid out when it is first asked for anything.

    Args:
        volume: What it shows, as it is at that time.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._segments: list[_Segment] = []
        self._starts: list[int] = []
        self._size = 0

    @property
    def disk_size(self) -> int:
        """Bytes, whole sectors."""
        self._lay_out()
        return self._size

    @property
    def writable(self) -> bool:
        """It is read-only: programs write through the file system beside it."""
        return False

    def write_disk(self, offset: int, data: bytes) -> None:
        """Never."""
        raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)

    def read_disk(self, offset: int, size: int) -> bytes:
        """Sectors; what belongs to nothing is zero.

        Raises:
            FileSystemError: A file has changed since the disk was laid out.
        """
        self._lay_out()
        data = bytearray(size)
        index = max(0, bisect_right(self._starts, offset) - 1)
        for segment in self._segments[index:]:
            if segment.start >= offset + size:
                break
            low, high = max(offset, segment.start), min(offset + size, segment.start + segment.size)
            if low < high:
                piece = segment.read(low - segment.start, high - low)
                if len(piece) != high - low:
                    raise FileSystemError(EfiStatus.EFI_DEVICE_ERROR)
                data[low - offset : high - offset] = piece
        return bytes(data)

    def _lay_out(self) -> None:
        if self._size:
            return
        layout = _Layout(self._volume)
        self._segments = layout.segments()
        self._starts = [segment.start for segment in self._segments]
        self._size = layout.size


@dataclass(slots=True)
class _Node:
    """A file or directory and where its clusters are."""

    parts: tuple[str, ...]
    info: FileInfo
    children: list[_Node]
    short: bytes = b""
    cluster: int = 0
    size: int = 0


class _Layout:
    """The disk's layout."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._count = 0
        root = volume.info(())
        if root is None:
            raise UsageError("the volume has no root folder")
        self._root = self._scan((), root)
        self._nodes = list(_walk(self._root))
        total = sum(node.info.size for node in self._nodes if not node.info.is_directory)
        self._cluster_size = 4096 if total < _LARGE else 32768
        self._next = _FIRST_CLUSTER
        for node in self._nodes:
            self._place(node)
        self._clusters = max(self._next - _FIRST_CLUSTER, _MINIMUM_CLUSTERS)
        self._fat_sectors = -(-4 * (self._clusters + _FIRST_CLUSTER) // SECTOR)
        self._data = (_RESERVED_SECTORS + self._fat_sectors) * SECTOR
        self.size = self._data + self._clusters * self._cluster_size

    def _scan(self, parts: tuple[str, ...], info: FileInfo) -> _Node:
        self._count += 1
        if self._count > MAXIMUM_ENTRIES:
            raise UsageError(f"more than {MAXIMUM_ENTRIES} files: too many for a disk made from a folder")
        children: list[_Node] = []
        if info.is_directory:
            try:
                entries = sorted(self._volume.entries(parts), key=lambda entry: entry.name.upper())
            except FileSystemError:
                entries = []
            children = [self._scan((*parts, entry.name), entry) for entry in entries if entry.size < 1 << 32]
            taken: set[bytes] = set()
            for child in children:
                child.short = short_name(child.info.name, taken)
        return _Node(parts, info, children)

    def _place(self, node: _Node) -> None:
        if node.info.is_directory:
            slots = sum(1 + _long_entries(child.info.name, child.short) for child in node.children)
            node.size = max(1, slots + (2 if node.parts else 1)) * 32
        else:
            node.size = node.info.size
        clusters = -(-node.size // self._cluster_size)
        if clusters:
            node.cluster = self._next
            self._next += clusters

    def segments(self) -> list[_Segment]:
        boot = self._boot_sector()
        found = [_fixed(0, boot), _fixed(SECTOR, self._information_sector()), _fixed(6 * SECTOR, boot)]
        found.append(_fixed(_RESERVED_SECTORS * SECTOR, self._allocation_table()))
        parents = {child.parts: node.cluster for node in self._nodes for child in node.children}
        for node in self._nodes:
            if not node.cluster:
                continue
            start = self._data + (node.cluster - _FIRST_CLUSTER) * self._cluster_size
            if node.info.is_directory:
                found.append(_fixed(start, self._directory(node, parents.get(node.parts, 0))))
            else:
                found.append(_Segment(start, node.size, self._reader(node.parts)))
        return sorted(found, key=lambda segment: segment.start)

    def _reader(self, parts: Parts) -> Read:
        return lambda offset, size: self._volume.read(parts, size, offset)

    def _boot_sector(self) -> bytes:
        label = _label(self._volume.label)
        parameters = struct.pack(
            "<3s8sHBHBHHBHHHIIIHHIHH12xBBBI11s8s",
            b"\xeb\x58\x90", b"TDVFSH  ", SECTOR, self._cluster_size // SECTOR, _RESERVED_SECTORS, 1, 0, 0, 0xF8, 0,
            63, 255, 0, self.size // SECTOR, self._fat_sectors, 0, 0, self._root.cluster, 1, 6, 0x80, 0, 0x29,
            0x7D5F5401, label, b"FAT32   ",
        )  # fmt: skip
        return parameters.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"

    def _information_sector(self) -> bytes:
        counts = struct.pack("<4sII", b"rrAa", self._clusters - (self._next - _FIRST_CLUSTER), self._next)
        return b"RRaA" + bytes(480) + counts + bytes(14) + b"\x55\xaa"

    def _allocation_table(self) -> bytes:
        table = array("I", range(1, self._next + 1))
        table[0], table[1] = 0x0FFFFFF8, _END_OF_CHAIN
        for node in self._nodes:
            if node.cluster:
                table[node.cluster + -(-node.size // self._cluster_size) - 1] = _END_OF_CHAIN
        return table.tobytes()

    def _directory(self, node: _Node, parent: int) -> bytes:
        parts = []
        if node.parts:
            above = 0 if parent == self._root.cluster else parent
            parts.append(_entry(b".          ", node.info, node.cluster, 0))
            parts.append(_entry(b"..         ", node.info, above, 0))
        else:
            parts.append(struct.pack("<11sB20x", _label(self._volume.label), 0x08))
        for child in node.children:
            parts.append(_long_name(child.info.name, child.short))
            size = 0 if child.info.is_directory else child.size
            parts.append(_entry(child.short, child.info, child.cluster, size))
        return b"".join(parts)


def _walk(node: _Node) -> list[_Node]:
    return [node, *(below for child in node.children for below in _walk(child))]


def _fixed(start: int, data: bytes) -> _Segment:
    return _Segment(start, len(data), lambda offset, size: data[offset : offset + size])


def _label(label: str) -> bytes:
    return label.upper().encode("ascii", "replace")[:11].ljust(11)


def _entry(short: bytes, info: FileInfo, cluster: int, size: int) -> bytes:
    attributes = sum(_ATTRIBUTES[letter] for letter in set(info.attributes) if letter in _ATTRIBUTES)
    moment = datetime.fromtimestamp(max(info.modified, 315532800), UTC)
    date = (moment.year - 1980) << 9 | moment.month << 5 | moment.day
    time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    return struct.pack(
        "<11sBBBHHHHHHHI", short, attributes, 0, 0, time, date, date, cluster >> 16, time, date, cluster & 0xFFFF, size
    )


def short_name(name: str, taken: set[bytes]) -> bytes:
    """An 8.3 name for ``name`` that is not taken yet, 11 bytes; it is taken from now on."""
    upper = name.upper()
    stem, _, extension = upper.rpartition(".") if "." in upper.lstrip(".") else (upper, "", "")
    stem = "".join(character if character in _ALLOWED else "_" for character in stem.replace(".", "").replace(" ", ""))
    extension = "".join(character if character in _ALLOWED else "_" for character in extension)
    plain = (stem[:8].ljust(8) + extension[:3].ljust(3)).encode("ascii")
    fits = upper == (f"{stem}.{extension}" if extension else stem) and len(stem) <= 8 and len(extension) <= 3
    number = 0
    candidate = plain
    while candidate in taken or (not fits and not number):
        number += 1
        tail = f"~{number}"
        candidate = ((stem[: 8 - len(tail)] + tail).ljust(8) + extension[:3].ljust(3)).encode("ascii")
    taken.add(candidate)
    return candidate


def _long_entries(name: str, short: bytes) -> int:
    stem, extension = short[:8].decode().rstrip(), short[8:].decode().rstrip()
    if name == (f"{stem}.{extension}" if extension else stem):
        return 0
    return -(-(len(name.encode("utf-16-le")) // 2) // _CHARACTERS)


def _long_name(name: str, short: bytes) -> bytes:
    """The entries that hold a long name, last piece first."""
    count = _long_entries(name, short)
    if not count:
        return b""
    checksum = 0
    for byte in short:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    text = name.encode("utf-16-le")
    if len(text) // 2 % _CHARACTERS:
        text += b"\0\0"
    text = text.ljust(count * _CHARACTERS * 2, b"\xff")
    entries = []
    for number in range(count, 0, -1):
        piece = text[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        entries.append(
            struct.pack("<B10sBBB12sH4s", order, piece[:10], _LONG_NAME, 0, checksum, piece[10:22], 0, piece[22:])
        )
    return b"".join(entries)
