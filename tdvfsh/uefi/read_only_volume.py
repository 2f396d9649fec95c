"""A file system that refuses to be written."""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.lazy_typing import NoReturn
from tdvfsh.uefi.filesystem import FileSystemError, Parts
from tdvfsh.uefi.status import EfiStatus


class ReadOnlyVolume:
    """The half of a :class:`~tdvfsh.uefi.volume.Volume` that writes: EFI_WRITE_PROTECTED."""

    writable = False

    def open_writer(self, parts: Parts, *, append: bool) -> NoReturn:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)

    def save(self, parts: Parts, pieces: Iterable[bytes | int]) -> None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)

    def make_directory(self, parts: Parts) -> None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)

    def remove(self, parts: Parts) -> None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)

    def rename(self, old: Parts, new: Parts) -> None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)

    def set_attributes(self, parts: Parts, attributes: str) -> None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)
