"""A folder of the host under an overlay: what commands change lies in a scratch folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator

from tdvfsh.lazy_typing import Final
from tdvfsh.shell.drives.filesystem import FileInfo, FileSystemError, Parts
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.uefi.filesystem import BLOCK_SIZE
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.volume import FileWriter

OVERLAY_BYTES: Final = 256 << 20
"""What one overlay holds at most; more is EFI_VOLUME_FULL."""


class OverlayFolder(HostFolder):
    """A host folder that can be written without being changed.

    Args:
        root: The folder; it is only read.
        scratch: An empty folder that takes what commands write; made where it is missing.
        writable: Whether commands may write at all.
        maximum: Bytes that ``scratch`` may hold.
    """

    def __init__(self, root: str, scratch: str, *, writable: bool = True, maximum: int = OVERLAY_BYTES) -> None:
        super().__init__(root, writable=writable)
        os.makedirs(scratch, exist_ok=True)
        self._upper = HostFolder(scratch, writable=True)
        self._lower = HostFolder(root)
        self._gone: set[tuple[str, ...]] = set()
        self._maximum = maximum

    def state(self) -> object:
        """What is on no disk: the marks, and what commands have deleted of the folder."""
        return super().state(), self._gone.copy()

    def restore(self, state: object) -> None:
        """Go back to what :meth:`state` returned; files in the scratch folder stay as they are."""
        assert isinstance(state, tuple)
        marks, gone = state
        super().restore(marks)
        self._gone = gone.copy()

    def parts_of(self, path: str) -> tuple[str, ...]:
        """See :meth:`HostFolder.parts_of`; the scratch folder's files stand where the folder's own would."""
        return self._upper.parts_of(path) if self._is_upper(path) else super().parts_of(path)

    def _key(self, path: str) -> str:
        return os.path.join(self.root, *self.parts_of(path))

    def _names(self, path: str) -> list[str]:
        return [entry.name for entry in self._merged(self.parts_of(path)).values()]

    def _is_upper(self, path: str) -> bool:
        return self._upper._inside(path)

    def _is_gone(self, parts: Parts) -> bool:
        key = _folded(parts)
        return any(key[:count] in self._gone for count in range(1, len(key) + 1))

    def _below(self, parts: Parts) -> str | None:
        """The entry in the folder itself, None where it was deleted."""
        return None if self._is_gone(parts) else self._lower._find(parts)

    def _find(self, parts: Parts) -> str | None:
        if not parts:
            return self.root
        upper = self._upper._find(parts)
        return upper if upper is not None else self._below(parts)

    def entries(self, parts: Parts) -> list[FileInfo]:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        self._need(parts)
        infos = (self._info(self._need((*parts, entry.name))) for entry in self._merged(parts).values())
        return [info for info in infos if info is not None]

    def _merged(self, parts: Parts) -> dict[str, FileInfo]:
        """Entries of a directory, by name in upper case: the folder's that are left, and the scratch folder's."""
        found: dict[str, FileInfo] = {}
        below, above = self._below(parts), self._upper._find(parts)
        if below is not None and os.path.isdir(below):
            kept = (entry for entry in self._lower.entries(parts) if not self._is_gone((*parts, entry.name)))
            found = {entry.name.upper(): entry for entry in kept}
        if above is not None:
            found.update((entry.name.upper(), entry) for entry in self._upper.entries(parts))
        return found

    def open_writer(self, parts: Parts, *, append: bool) -> FileWriter:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        before = self._size_of(parts)
        if self._prepare(parts) and append:
            self._copy_up(parts)
        writer = _BoundedWriter(self._upper.open_writer(parts, append=append), self)
        self._written_in(os.path.dirname(self._need(parts)))
        return self._accounted(writer, parts, before)

    def save(self, parts: Parts, pieces: Iterable[bytes | int]) -> None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        before = self._size_of(parts)
        self._prepare(parts)
        self._upper.save(parts, _bounded(pieces, self.room()))
        self.marks.resized(parts[-1], before, self._size_of(parts))
        self._written_in(os.path.dirname(self._need(parts)))

    def _prepare(self, parts: Parts) -> bool:
        """Make the scratch folder ready to take a file that may be written; returns whether there is one already."""
        self._need_writable()
        existing = self._find(parts)
        if existing is None:
            self.make_directory(parts[:-1])
        elif os.path.isdir(existing) or "r" in self.marks.attributes(self._key(existing), directory=False):
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        self._folder_up(parts[:-1])
        return existing is not None

    def make_directory(self, parts: Parts) -> None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        for count in range(1, len(parts) + 1):
            found = self._find(parts[:count])
            if found is None:
                self._need_writable()
                self._folder_up(parts[: count - 1])
                self._upper.make_directory(parts[:count])
                self.marks.resized(parts[count - 1], None, BLOCK_SIZE)
                self._written_in(self._need(parts[:count]))
            elif not os.path.isdir(found):
                raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)

    def remove(self, parts: Parts) -> None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        self._need_writable()
        path, before = self._need(parts), self._size_of(parts)
        folder, key = self._need(parts[:-1]), self._key(path)
        if os.path.isdir(path) and self._merged(parts):
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        self._leaving(folder)
        if self._upper._find(parts) is not None:
            self._upper.remove(parts)
        if self._below(parts) is not None:
            self._gone.add(_folded(parts))
        self.marks.resized(parts[-1], before, None)
        self.marks.removed(key)
        self._written_in(folder)

    def rename(self, old: Parts, new: Parts) -> None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        self._need_writable()
        if not old or not new or (self._find(new) is not None and _folded(old) != _folded(new)):
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        source, folder = self._key(self._need(old)), self._need(old[:-1])
        self._leaving(folder)
        self._copy_up(old)
        self._folder_up(new[:-1])
        self._upper.rename(old, new)
        if self._below(old) is not None:
            self._gone.add(_folded(old))
        target = self._need(new)
        self.marks.renamed(source, self._key(target))
        self._written_in(folder)
        self._written_in(os.path.dirname(target))

    def set_modified(self, parts: Parts, seconds: int) -> None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        self._need_writable()
        self._need(parts)
        self._copy_up(parts)
        super().set_modified(parts, seconds)

    def room(self) -> int:
        """Bytes that the scratch folder still takes."""
        used = 0
        for folder, _, files in os.walk(self._upper.root):
            used += sum(os.lstat(os.path.join(folder, file)).st_blocks * 512 for file in files)
        return max(0, self._maximum - used)

    def _folder_up(self, parts: Parts) -> None:
        """The scratch folder has this directory too."""
        if parts and self._upper._find(parts) is None:
            self._upper.make_directory(self.parts_of(self._need(parts)))

    def _copy_up(self, parts: Parts) -> None:
        """The scratch folder has this entry too, with all below it."""
        if self._upper._find(parts) is not None and not os.path.isdir(self._need(parts)):
            return
        path = self._need(parts)
        if os.path.isdir(path):
            self._folder_up(parts)
            for entry in self.entries(parts):
                self._copy_up((*parts, entry.name))
            return
        if os.path.getsize(path) > self.room():
            raise FileSystemError(EfiStatus.EFI_VOLUME_FULL)
        self._folder_up(parts[:-1])
        self._upper.open_writer(self.parts_of(path), append=False).close()
        try:
            shutil.copy2(path, self._upper._need(parts), follow_symlinks=True)
        except OSError:
            raise FileSystemError(EfiStatus.EFI_DEVICE_ERROR) from None


class _BoundedWriter:
    def __init__(self, inner: FileWriter, overlay: OverlayFolder) -> None:
        self._inner = inner
        self._room = overlay.room()

    def write(self, data: bytes) -> None:
        if len(data) > self._room:
            raise FileSystemError(EfiStatus.EFI_VOLUME_FULL)
        self._room -= len(data)
        self._inner.write(data)

    def close(self) -> None:
        self._inner.close()


def _bounded(pieces: Iterable[bytes | int], room: int) -> Iterator[bytes | int]:
    """The pieces, as long as their bytes find room."""
    for piece in pieces:
        if isinstance(piece, bytes):
            room -= len(piece)
            if room < 0:
                raise FileSystemError(EfiStatus.EFI_VOLUME_FULL)
        yield piece


def _folded(parts: Parts) -> tuple[str, ...]:
    return tuple(part.upper() for part in parts)
