"""A folder of the host as a file system: read-only unless asked, and never a way out of it."""

from __future__ import annotations

import errno
import os
from stat import S_ISDIR, S_ISREG

from tdvfsh.lazy_typing import TYPE_CHECKING, BinaryIO
from tdvfsh.shell.drives.fat_marks import FatMarks
from tdvfsh.shell.drives.filesystem import FileInfo, FileSystemError, Parts, directory_size
from tdvfsh.uefi.filesystem import BLOCK_SIZE
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tdvfsh.uefi.volume import FileWriter

_FORBIDDEN = frozenset('\\:"<>|*?')
_STATUS = {
    errno.ENOENT: EfiStatus.EFI_NOT_FOUND,
    errno.ENOTDIR: EfiStatus.EFI_NOT_FOUND,
    errno.ENOSPC: EfiStatus.EFI_VOLUME_FULL,
    errno.EDQUOT: EfiStatus.EFI_VOLUME_FULL,
    errno.EFBIG: EfiStatus.EFI_VOLUME_FULL,
    errno.EROFS: EfiStatus.EFI_WRITE_PROTECTED,
    errno.EIO: EfiStatus.EFI_DEVICE_ERROR,
}


def _error(error: OSError) -> FileSystemError:
    return FileSystemError(_STATUS.get(error.errno or 0, EfiStatus.EFI_ACCESS_DENIED))


class HostWriter:
    """A file of the host that grows.

    Args:
        stream: The open, unbuffered file; what it does not take at once is offered again.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Append bytes; raises FileSystemError, VOLUME_FULL where the host takes no more."""
        try:
            while data:
                written = self._stream.write(data)
                if not written:
                    raise FileSystemError(EfiStatus.EFI_VOLUME_FULL)
                data = data[written:]
        except OSError as error:
            raise _error(error) from None

    def close(self) -> None:
        """Close the file; raises FileSystemError."""
        try:
            self._stream.close()
        except OSError as error:
            raise _error(error) from None


class _AccountedWriter:
    """A file's writer; when it is closed, the volume accounts for what was written."""

    def __init__(self, inner: FileWriter, account: Callable[[], None]) -> None:
        self._inner = inner
        self._account = account

    def write(self, data: bytes) -> None:
        self._inner.write(data)

    def close(self) -> None:
        self._inner.close()
        self._account()


class HostFolder:
    """A host folder as FS0:, FS1: and so on.

    Entries that a link leads out of the folder do not exist for the shell; neither do names that no shell path
    can hold. What FAT keeps of an entry and the host does not is kept in memory only.

    Args:
        root: The folder.
        writable: Whether commands may change it.
        label: Volume label; the folder's name where empty.
    """

    def __init__(self, root: str, *, writable: bool = False, label: str = "") -> None:
        self.root = os.path.realpath(root)
        self.writable = writable
        self.label = label or os.path.basename(self.root).upper()[:11] or "ROOT"
        self.marks = FatMarks()
        self.refused: str | None = None  # the last entry that was asked for and is a link out of the folder
        self._free: int | None = None  # bytes, when they were asked for first and nothing had been written
        self.used: Callable[[str], None] | None = None  # called with the path of every file that is mapped or read

    def state(self) -> object:
        """What is not on the host's disk: attributes, sizes of directories, dates of access."""
        return self.marks.state()

    def restore(self, state: object) -> None:
        """Restore what :meth:`state` returned; the host's files stay as they are."""
        self.marks.restore(state)

    def parts_of(self, path: str) -> tuple[str, ...]:
        """The names that lead from the root to a path that :meth:`host_path` returned."""
        relative = os.path.relpath(path, self.root)
        return () if relative == os.curdir else tuple(relative.split(os.sep))

    def _inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self.root or real.startswith(self.root.rstrip(os.sep) + os.sep)

    def _find(self, parts: Parts) -> str | None:
        path = self.root
        for part in parts:
            found = self._child(path, part)
            if found is None:
                return None
            path = found
        return path

    def _child(self, folder: str, name: str) -> str | None:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            return None
        path = os.path.join(folder, name)
        try:
            if not os.path.lexists(path):
                wanted = name.upper()
                matching = sorted(entry for entry in os.listdir(folder) if entry.upper() == wanted)
                if not matching:
                    return None
                path = os.path.join(folder, matching[0])
        except (OSError, ValueError):
            return None
        ordinary = os.path.isfile(path) or os.path.isdir(path)  # a FIFO would never answer
        if ordinary and not self._inside(path):
            self.refused = os.path.relpath(path, self.root).replace(os.sep, "\\")
            return None
        return path if ordinary else None

    def _need(self, parts: Parts) -> str:
        path = self._find(parts)
        if path is None:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        return path

    def _need_writable(self) -> None:
        if not self.writable:
            raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)

    def _info(self, path: str) -> FileInfo | None:
        try:
            stat = os.stat(path)
            is_directory = S_ISDIR(stat.st_mode)
            if not is_directory and not S_ISREG(stat.st_mode):
                return None
            name = "" if path == self.root else os.path.basename(path)
            size = stat.st_size
            if is_directory:
                size = self._directory_size(path)
        except OSError:
            return None
        key = self._key(path)
        attributes = ("d" if is_directory else "") + self.marks.attributes(key, directory=is_directory)
        modified = int(stat.st_mtime)
        return FileInfo(
            name=name,
            is_directory=is_directory,
            size=size,
            modified=modified,
            created=modified,
            attributes=attributes,
            accessed=self.marks.accessed(key),
        )

    def _directory_size(self, path: str) -> int:
        names = [entry for entry in self._names(path) if _is_name(entry)]
        return self.marks.size(self._key(path), directory_size(names, root=path == self.root))

    def _key(self, path: str) -> str:
        """What an entry that lies at ``path`` is known by among the marks."""
        return path

    def _names(self, path: str) -> list[str]:
        return os.listdir(path)

    def _written_in(self, path: str) -> None:
        """An entry of the directory ``path`` was written."""
        above: list[str] = []
        path = self._key(path)
        while path != self.root and path.startswith(self.root):
            above.append(path)
            path = os.path.dirname(path)
        self.marks.changed(above)

    def _leaving(self, path: str) -> None:
        """An entry is about to leave the directory ``path``."""
        if path != self.root:
            self.marks.keep_size(self._key(path), self._directory_size(path))

    def host_path(self, parts: Parts) -> str | None:
        """Where an entry lies on the host, for readers that map files."""
        path = self._find(parts)
        if path is not None and self.used is not None:
            self.used(path)
        return path

    def info(self, parts: Parts) -> FileInfo | None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        path = self._find(parts)
        return None if path is None else self._info(path)

    def entries(self, parts: Parts) -> list[FileInfo]:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        folder = self._need(parts)
        try:
            names = os.listdir(folder)
        except OSError as error:
            raise _error(error) from None
        found: list[FileInfo] = []
        for name in names:
            path = os.path.join(folder, name)
            if not _is_name(name) or (os.path.islink(path) and not self._inside(path)):
                continue
            info = self._info(path)
            if info is not None:
                found.append(info)
        return found

    def read(self, parts: Parts, size: int = -1, offset: int = 0) -> bytes:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        path = self._need(parts)
        if self.used is not None:
            self.used(path)
        try:
            with open(path, "rb") as stream:
                stream.seek(offset)
                return stream.read(size)
        except OSError as error:
            raise _error(error) from None

    def open_writer(self, parts: Parts, *, append: bool) -> FileWriter:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        before = self._size_of(parts)
        path = self._place(parts)
        try:
            stream = open(path, "ab" if append else "wb", buffering=0)  # noqa: SIM115 - the writer closes it
        except OSError as error:
            raise _error(error) from None
        self._written_in(os.path.dirname(path))
        return self._accounted(HostWriter(stream), parts, before)

    def _accounted(self, writer: FileWriter, parts: Parts, before: int | None) -> FileWriter:
        """A writer of an entry that had ``before`` bytes, or was not there."""
        return _AccountedWriter(writer, lambda: self.marks.resized(parts[-1], before, self._size_of(parts)))

    def _size_of(self, parts: Parts) -> int | None:
        """Bytes of an entry's contents, one block for a directory; None where it is not there."""
        path = self._find(parts)
        if path is None:
            return None
        try:
            return BLOCK_SIZE if os.path.isdir(path) else os.path.getsize(path)
        except OSError as error:
            raise _error(error) from None

    def save(self, parts: Parts, pieces: Iterable[bytes | int]) -> None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        before = self._size_of(parts)
        path = self._place(parts)
        from tdvfsh.whole_file import replacing

        try:
            with replacing(path) as file:
                for piece in pieces:
                    if isinstance(piece, int):
                        file.truncate(file.seek(piece, os.SEEK_CUR))
                    else:
                        file.write(piece)
        except OSError as error:
            raise _error(error) from None
        self.marks.resized(parts[-1], before, self._size_of(parts))
        self._written_in(os.path.dirname(path))

    def _place(self, parts: Parts) -> str:
        """Where a file that may be written lies, or will; the folders above it are there."""
        self._need_writable()
        existing = self._find(parts)
        if existing is None:
            self.make_directory(parts[:-1])
            existing = os.path.join(self._need(parts[:-1]), _checked(parts[-1]))
            if os.path.lexists(existing):  # a link that leads out, or nowhere
                raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        elif os.path.isdir(existing) or "r" in self.marks.attributes(self._key(existing), directory=False):
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        return existing

    def make_directory(self, parts: Parts) -> None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        for count in range(1, len(parts) + 1):
            found = self._find(parts[:count])
            if found is not None:
                if not os.path.isdir(found):
                    raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
                continue
            self._need_writable()
            path = os.path.join(self._need(parts[: count - 1]), _checked(parts[count - 1]))
            try:
                os.mkdir(path)
            except OSError as error:
                raise _error(error) from None
            self.marks.resized(parts[count - 1], None, BLOCK_SIZE)
            self._written_in(path)  # its own two entries

    def remove(self, parts: Parts) -> None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        self._need_writable()
        path, before = self._need(parts), self._size_of(parts)
        folder = os.path.dirname(path)
        try:
            self._leaving(folder)
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            else:
                os.unlink(path)
        except OSError as error:
            raise _error(error) from None
        self.marks.resized(parts[-1], before, None)
        self.marks.removed(self._key(path))
        self._written_in(folder)

    def rename(self, old: Parts, new: Parts) -> None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        self._need_writable()
        if not old or not new:
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        source = self._need(old)
        target = os.path.join(self._need(new[:-1]), _checked(new[-1]))
        there = self._find(new) or target  # in another case, too
        if os.path.lexists(there) and os.path.realpath(there) != os.path.realpath(source):
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        try:
            self._leaving(os.path.dirname(source))
            os.rename(source, target)
        except OSError as error:
            raise _error(error) from None
        self.marks.renamed(self._key(source), self._key(target))
        self._written_in(os.path.dirname(source))
        self._written_in(os.path.dirname(target))

    def set_attributes(self, parts: Parts, attributes: str) -> None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        self._need_writable()
        path = self._need(parts)
        self.marks.set_attributes(self._key(path), attributes)
        self._written_in(os.path.dirname(path))

    def set_modified(self, parts: Parts, seconds: int) -> None:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`."""
        self._need_writable()
        try:
            os.utime(self._need(parts), (seconds, seconds))
        except OSError as error:
            raise _error(error) from None

    def space(self) -> tuple[int, int]:
        """See :class:`~tdvfsh.shell.interfaces.FileSystem`.

        Free space falls with every block that is written, as on FAT; the host's, which other processes change and which
        falls when it pleases, is the bound.
        """
        try:
            stat = os.statvfs(self.root)
        except OSError as error:
            raise _error(error) from None
        size, free = stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize
        if self._free is None:
            self._free = free + self.marks.taken
        return size, max(0, min(free, self._free - self.marks.taken))


def _is_name(name: str) -> bool:
    """Whether a shell path can hold a host's file name."""
    if not _FORBIDDEN.isdisjoint(name):
        return False
    return name.isprintable() or not any(character < " " or "\ud800" <= character <= "\udfff" for character in name)


def _checked(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or not _is_name(name):
        raise FileSystemError(EfiStatus.EFI_INVALID_PARAMETER)
    return name
