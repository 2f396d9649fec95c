"""File systems that guest code can open, and the objects that stand for them in the handle database."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tdvfsh.dxe.protocols import FileContents, SimpleFileSystem
from tdvfsh.errors import TdvfshError
from tdvfsh.formats.mapped import MappedFile, copy_of, open_mapped
from tdvfsh.lazy_typing import Protocol, runtime_checkable
from tdvfsh.uefi.filesystem import FileInfo, FileSystemError, Parts
from tdvfsh.uefi.read_only_volume import ReadOnlyVolume
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.volume import Volume


@runtime_checkable
class OnVolume(Protocol):
    """Something that is on a volume."""

    @property
    def volume(self) -> Volume:
        """The volume."""
        ...


@runtime_checkable
class OnHost(Protocol):
    """A volume whose files are files of the host."""

    def host_path(self, parts: Parts) -> str | None:
        """Where an entry lies on the host."""


class VolumeFileSystem:
    """EFI_SIMPLE_FILE_SYSTEM_PROTOCOL over a volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._mapped: dict[str, MappedFile] = {}

    @property
    def volume(self) -> Volume:
        """The volume."""
        return self._volume

    def read_file(self, path: str) -> FileContents:
        """The file at a backslash path; a file of the host is mapped, not read."""
        parts = split_path(path)
        try:
            if isinstance(self._volume, OnHost):
                return FileContents(SUCCESS, self._view(self._volume, parts))
            return FileContents(SUCCESS, memoryview(self._volume.read(parts)))
        except FileSystemError as error:
            return FileContents(error.status, None)

    def _view(self, volume: OnHost, parts: Parts) -> memoryview:
        path = volume.host_path(parts)
        if path is None:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        try:
            if path not in self._mapped:
                self._mapped[path] = open_mapped(path)
        except TdvfshError:
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED) from None
        return self._mapped[path].view


class ViewVolume(ReadOnlyVolume):
    """A read-only volume of files in memory.

    Args:
        files: Bytes by backslash path; folders are made from the paths.
        label: Volume label.
    """

    def __init__(self, files: dict[str, memoryview], label: str = "BOOT") -> None:
        self.label = label
        self._files: dict[tuple[str, ...], memoryview] = {}
        self._names: dict[tuple[str, ...], str] = {}
        for path, view in files.items():
            parts = split_path(path)
            for count in range(1, len(parts) + 1):
                self._names.setdefault(_key(parts[:count]), parts[count - 1])
            self._files[_key(parts)] = view

    def info(self, parts: Parts) -> FileInfo | None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        key = _key(parts)
        if key in self._files:
            return FileInfo(
                name=self._names[key],
                is_directory=False,
                size=len(self._files[key]),
                modified=0,
                created=0,
                attributes="ar",
            )
        if not key or key in self._names:
            return FileInfo(
                name=self._names.get(key, ""), is_directory=True, size=0, modified=0, created=0, attributes="d"
            )
        return None

    def entries(self, parts: Parts) -> list[FileInfo]:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        key = _key(parts)
        below = [name for name in self._names if len(name) == len(key) + 1 and name[: len(key)] == key]
        return [info for name in below if (info := self.info(name)) is not None]

    def read(self, parts: Parts, size: int = -1, offset: int = 0) -> bytes:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        view = self._files.get(_key(parts))
        if view is None:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        return copy_of(view[offset : len(view) if size < 0 else offset + size])

    def space(self) -> tuple[int, int]:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        return sum(len(view) for view in self._files.values()), 0


class NamedFiles(ViewVolume):
    """The files of a file system that can only be asked for whole files, as far as they have been asked for."""

    def __init__(self, files: SimpleFileSystem) -> None:
        super().__init__({})
        self._source = files

    def info(self, parts: Parts) -> FileInfo | None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        contents = self._source.read_file("\\".join(parts)) if parts else None
        if contents is not None and contents.view is not None:
            self._files[_key(parts)], self._names[_key(parts)] = contents.view, parts[-1]
        return super().info(parts)


def set_modified(volume: Volume, parts: Parts, seconds: int) -> None:
    """Set when an entry was changed last, in seconds since 1970 UTC; raises FileSystemError.

    Only the host's own files keep such a time.
    """
    path = volume.host_path(parts) if isinstance(volume, OnHost) else None
    if path is None:
        raise FileSystemError(EfiStatus.EFI_UNSUPPORTED)
    try:
        os.utime(path, (seconds, seconds))
    except OSError:
        raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED) from None


def split_path(path: str) -> tuple[str, ...]:
    """Names of a backslash path."""
    parts: list[str] = []
    for part in path.replace("/", "\\").split("\\"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)  # ".." of the root stays: it is not found
    return tuple(parts)


def _key(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(part.upper() for part in parts)
