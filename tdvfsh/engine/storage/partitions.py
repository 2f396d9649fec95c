"""Partitions of a disk, and the FAT volumes on it, which are read and never written.

GUID partition tables are read by libvsgpt, master boot records by libvsmbr, FAT by libfsfat: all LGPL and loaded at run
time, from the extra ``disk``.

Source: UEFI 2.10, 5.2 and 5.3 (partition tables), 13.3 (FAT); edk2 MdeModulePkg/Universal/Disk/PartitionDxe (device
paths of partitions; a GUID partition table goes before a master boot record).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from importlib import import_module

from tdvfsh.errors import MissingError, TdvfshError
from tdvfsh.lazy_typing import Any, Final, NamedTuple, TypeVar
from tdvfsh.uefi.device_path import HardDrive
from tdvfsh.uefi.disk import SECTOR, ReadableDisk
from tdvfsh.uefi.filesystem import FileInfo, FileSystemError, Parts
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.read_only_volume import ReadOnlyVolume
from tdvfsh.uefi.status import EfiStatus

T = TypeVar("T")

_GPT, _MBR = 2, 1
_GUID_SIGNATURE, _DISK_SIGNATURE = 2, 1
_MOST_PARTITIONS: Final = 128
_DEEPEST: Final = 32
_MOST_ENTRIES: Final = 65536
_DIRECTORY: Final = 0x10
_LETTERS: Final = ((_DIRECTORY, "d"), (0x20, "a"), (0x02, "h"), (0x01, "r"), (0x04, "s"))
_VOLUME_LABEL: Final = 0x08
_BIOS_PARAMETERS: Final = struct.Struct("<HBHBHH")
_FAT_SIZE: Final = struct.Struct("<H")
_SECTORS: Final = struct.Struct("<I")
_ENTRY: Final = 32
_FAT_LIMITS: Final = (4085, 65525)
"""As many clusters, and more, have FATs of 16 and of 32 bits."""
_NEEDS: Final = "partitions and FAT are read by libvsgpt, libvsmbr and libfsfat; pip install 'tdvfsh[disk]'"


class Partition:
    """A part of a disk, as a disk that is read-only.

    Args:
        disk: The disk.
        start: Offset of its first byte.
        size: Bytes.
        node: The device path node that names it.
    """

    writable = False

    def __init__(self, disk: ReadableDisk, start: int, size: int, node: HardDrive) -> None:
        self._disk = disk
        self._start = start
        self.disk_size = size
        self.node = node

    def read_disk(self, offset: int, size: int) -> bytes:
        """A copy."""
        return self._disk.read_disk(self._start + offset, size)

    def write_disk(self, offset: int, data: bytes) -> None:
        """Never."""
        raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)


class FoundVolume(NamedTuple):
    """A FAT volume of a disk: the partition, None where it is the whole disk, and the volume."""

    partition: Partition | None
    volume: FatVolume


class _File:
    """A disk as the libraries read it.

    Args:
        disk: The disk.
        first: What stands in place of its first bytes.
    """

    def __init__(self, disk: ReadableDisk, first: bytes = b"") -> None:
        self._disk = disk
        self._first = first
        self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._disk.disk_size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._disk.disk_size if size < 0 else min(self._at + size, self._disk.disk_size)
        data = self._disk.read_disk(self._at, end - self._at) if self._at < end else b""
        if self._at < len(self._first):
            data = (self._first[self._at :] + data[len(self._first) - self._at :])[: len(data)]
        self._at += len(data)
        return data

    def get_size(self) -> int:
        return self._disk.disk_size


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingError(_NEEDS) from None


def why_unreadable() -> str | None:
    """Why partitions cannot be read; None where the libraries are there."""
    try:
        for name in ("pyvsgpt", "pyvsmbr", "pyfsfat"):
            _library(name)
    except MissingError as error:
        return str(error)
    return None


def partitions(disk: ReadableDisk) -> list[Partition]:
    """The partitions of a disk; none where it has no table that can be read.

    Raises:
        MissingError: The extra is not installed.
    """
    return list(_partitions(disk, _of_gpt(disk)) or _partitions(disk, _of_mbr(disk)))


def _of_gpt(disk: ReadableDisk) -> Iterator[tuple[int, int, HardDrive]]:
    library = _library("pyvsgpt")
    table = library.volume()
    table.open_file_object(_File(disk))
    for each in table.partitions:
        start, size, number = each.volume_offset, each.size, each.entry_index + 1
        signature = Guid(each.identifier).bytes_le
        yield start, size, HardDrive(
            number, start // SECTOR, size // SECTOR, signature=signature, form=_GPT, signature_type=_GUID_SIGNATURE
        )  # fmt: skip


def _of_mbr(disk: ReadableDisk) -> Iterator[tuple[int, int, HardDrive]]:
    library = _library("pyvsmbr")
    if _fat(disk) is not None:  # its first sector looks like one
        return
    table = library.volume()
    table.open_file_object(_File(disk))
    signature = int(table.disk_identity).to_bytes(4, "little").ljust(16, b"\0")
    for number, each in enumerate(table.partitions, 1):
        start, size = each.volume_offset, each.size
        yield start, size, HardDrive(
            number, start // SECTOR, size // SECTOR, signature=signature, form=_MBR, signature_type=_DISK_SIGNATURE
        )  # fmt: skip


def _partitions(disk: ReadableDisk, found: Iterable[tuple[int, int, HardDrive]]) -> list[Partition]:
    """Those that lie on the disk, until one cannot be read."""
    parts: list[Partition] = []
    try:
        for start, size, node in found:
            if start > 0 and 0 < size <= disk.disk_size - start and len(parts) < _MOST_PARTITIONS:
                parts.append(Partition(disk, start, size // SECTOR * SECTOR, node))
    except OSError:
        pass
    return parts


def fat_volume(disk: ReadableDisk) -> FatVolume | None:
    """The FAT volume that a disk or a partition is; None where it is none.

    Raises:
        MissingError: The extra is not installed.
    """
    volume = _fat(disk)
    return None if volume is None else FatVolume(volume, disk)


def fat_volumes(disk: ReadableDisk) -> list[FoundVolume]:
    """The FAT volumes of a disk: those on its partitions, or the whole disk.

    Raises:
        MissingError: The extra is not installed.
    """
    places: list[tuple[Partition | None, ReadableDisk]] = [(part, part) for part in partitions(disk)]
    found = ((part, fat_volume(place)) for part, place in places or [(None, disk)])
    return [FoundVolume(part, volume) for part, volume in found if volume is not None]


def _fat(disk: ReadableDisk) -> Any:
    """The library's volume on a disk; None where that is not FAT."""
    library = _library("pyfsfat")
    boot_sector = disk.read_disk(0, SECTOR) if disk.disk_size >= SECTOR else b""
    if boot_sector[-2:] != b"\x55\xaa":
        return None
    volume = library.volume()
    try:
        volume.open_file_object(_File(disk, _fat_of_its_size(boot_sector)))
        volume.get_root_directory()
    except OSError:
        return None
    return volume


def _fat_of_its_size(boot_sector: bytes) -> bytes:
    """A boot sector from which libfsfat finds how wide the volume's FAT is, which the number of clusters says.

    It counts the root folder's sectors among the clusters, and so takes the largest volumes of FAT12 for FAT16, and of
    FAT16 for FAT32: files would be damaged. These get as many sectors as it still takes for the right kind, up to two
    clusters less than they have; a file there is an error then.

    Source: Microsoft's FAT specification 1.03 (fatgen103), FAT Type Determination.
    """
    sector, per_cluster, reserved, fats, root_entries, sectors = _BIOS_PARAMETERS.unpack_from(boot_sector, 11)
    (fat_size,), (many_sectors,) = _FAT_SIZE.unpack_from(boot_sector, 22), _SECTORS.unpack_from(boot_sector, 32)
    if not (sector and per_cluster and fat_size):
        return boot_sector
    before = reserved + fats * fat_size
    root = -(-root_entries * _ENTRY // sector)
    all_sectors = sectors or many_sectors
    clusters, counted = (all_sectors - before - root) // per_cluster, (all_sectors - before) // per_cluster
    limit = next((limit for limit in _FAT_LIMITS if clusters < limit <= counted), None)
    if limit is None:
        return boot_sector
    changed, fewer = bytearray(boot_sector), before + (limit - 1) * per_cluster
    (_FAT_SIZE if sectors else _SECTORS).pack_into(changed, 19 if sectors else 32, fewer)
    return bytes(changed)


class FatVolume(ReadOnlyVolume):
    """A FAT volume, which is read-only.

    Args:
        volume: As the library has it.
        disk: What it lies on.
    """

    def __init__(self, volume: Any, disk: ReadableDisk) -> None:
        self._volume = volume
        self._size = disk.disk_size
        self._folders: dict[tuple[str, ...], dict[str, Any]] = {}
        self.label: str = _asked(lambda: volume.get_label(), "") or ""

    # ---- reading ------------------------------------------------------------------------------------------------

    def _find(self, parts: Parts) -> Any:
        if not parts:
            return _asked(self._volume.get_root_directory)
        folder = self._find(parts[:-1]) if len(parts) <= _DEEPEST else None
        return None if folder is None else self._children(parts[:-1], folder).get(parts[-1].upper())

    def _children(self, parts: Parts, folder: Any) -> dict[str, Any]:
        key = tuple(part.upper() for part in parts)
        if key not in self._folders:
            self._folders[key] = _asked(lambda: _entries_of(folder))
        return self._folders[key]

    def _need(self, parts: Parts) -> Any:
        entry = self._find(parts)
        if entry is None:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        return entry

    def info(self, parts: Parts) -> FileInfo | None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        if not parts:
            return FileInfo(name="", is_directory=True, size=0, modified=0, created=0, attributes="d")
        entry = self._find(parts)
        return None if entry is None else _info(entry)

    def entries(self, parts: Parts) -> list[FileInfo]:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        folder = self._need(parts)
        if parts and not _is_directory(folder):
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        return [_info(entry) for entry in self._children(parts, folder).values()]

    def read(self, parts: Parts, size: int = -1, offset: int = 0) -> bytes:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        entry = self._need(parts)
        if not parts or _is_directory(entry):
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        whole: int = _asked(entry.get_size)
        if whole > self._size:
            raise FileSystemError(EfiStatus.EFI_VOLUME_CORRUPTED)
        end = whole if size < 0 else min(offset + size, whole)
        parts_read = []
        while offset < end:
            data: bytes = _asked(lambda: entry.read_buffer_at_offset(end - offset, offset))  # noqa: B023 - called at once
            if not data:
                raise FileSystemError(EfiStatus.EFI_VOLUME_CORRUPTED)
            parts_read.append(data)
            offset += len(data)
        return b"".join(parts_read)

    def space(self) -> tuple[int, int]:
        """See :class:`~tdvfsh.uefi.volume.Volume`; nothing is free on a volume that is not written."""
        return self._size, 0

    def set_modified(self, parts: Parts, seconds: int) -> None:
        """Never."""
        raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)

    def state(self) -> object:
        """Nothing is kept."""
        return None

    def restore(self, state: object) -> None:
        """Nothing was kept."""


def _asked(question: Callable[[], T], otherwise: T | None = None) -> T:
    """The library's answer; FileSystemError where the volume is damaged and nothing else was said."""
    try:
        return question()
    except (OSError, ValueError, TdvfshError):
        if otherwise is not None:
            return otherwise
        raise FileSystemError(EfiStatus.EFI_VOLUME_CORRUPTED) from None


def _entries_of(folder: Any) -> dict[str, Any]:
    count = min(folder.get_number_of_sub_file_entries(), _MOST_ENTRIES)
    found: dict[str, Any] = {}
    for number in range(count):
        entry = folder.get_sub_file_entry(number)
        if not entry.get_file_attribute_flags() & _VOLUME_LABEL and entry.get_name() not in (None, ".", ".."):
            found.setdefault(entry.get_name().upper(), entry)
    return found


def _is_directory(entry: Any) -> bool:
    return bool(_asked(entry.get_file_attribute_flags) & _DIRECTORY)


def _info(entry: Any) -> FileInfo:
    flags = _asked(entry.get_file_attribute_flags)
    is_directory = bool(flags & _DIRECTORY)
    return FileInfo(
        name=entry.get_name(),
        is_directory=is_directory,
        size=0 if is_directory else _asked(entry.get_size),
        modified=_seconds(entry.get_modification_time),
        created=_seconds(entry.get_creation_time),
        attributes="".join(letter for flag, letter in _LETTERS if flags & flag),
    )


def _seconds(time: Callable[[], datetime | None]) -> int:
    """A time of the volume, which knows no time zone, as seconds since 1970; 0 where there is none."""
    try:
        moment = time()
    except (OSError, ValueError):
        return 0
    return 0 if moment is None else int(moment.replace(tzinfo=UTC).timestamp())
