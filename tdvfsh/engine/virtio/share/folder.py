"""A folder of the host by paths that begin at it, none of which leads out of it.

Each component is opened below the one before, without following symbolic links: those are text for the guest. Files
that are neither regular files, folders nor links are not there.

Source: open(2) (O_NOFOLLOW, openat), path_resolution(7).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from tdvfsh.errors import HostError, host_error
from tdvfsh.lazy_typing import Final, NamedTuple

FilePath = tuple[bytes, ...]
"""Names from the shared folder on; empty for the folder itself."""

MOST_WRITTEN: Final = 1 << 30
MOST_ENTRIES: Final = 1 << 18
PERMISSIONS: Final = 0o777
_MOST_CHANGED: Final = 1 << 16
_CREATED: Final = 4096
_LATEST_NS: Final = (1 << 33) * 1_000_000_000
_LONGEST_NAME: Final = 255
_KINDS: Final = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Status(NamedTuple):
    """A file's attributes: mode with its kind, size in bytes, and nanoseconds since 1970 of its last change."""

    mode: int
    size: int
    changed_ns: int


def refuse(number: int) -> OSError:
    """The error of a number."""
    return OSError(number, os.strerror(number))


def checked_name(name: bytes) -> bytes:
    """A name in a folder; raises OSError for what would be a path."""
    if not name or name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise refuse(errno.EINVAL)
    if len(name) > _LONGEST_NAME:
        raise refuse(errno.ENAMETOOLONG)
    return name


class SharedFolder:
    """The folder: a context, which holds it open. Its methods raise OSError for what the guest gets as an error.

    Args:
        path: The folder.
        writable: Whether the guest may write in it.

    Attributes:
        path: The folder.
        writable: Whether the guest may write in it.
        now: Returns virtual nanoseconds since 1970, the time of the guest's changes.
        written: Bytes that the guest has written, or that its files took; at most :data:`MOST_WRITTEN`.
        changed: Times of the guest's changes by path, which are shown in place of the host's.

    Raises:
        HostError: It is not a folder that can be read.
    """

    def __init__(self, path: str, writable: bool = False) -> None:
        self.path = path
        self.writable = writable
        self.now: Callable[[], int] = lambda: 0
        self.written = 0
        self.changed: dict[FilePath, int] = {}
        try:
            self._root = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise host_error(path, error) from None
        if not stat.S_ISDIR(os.fstat(self._root).st_mode):
            os.close(self._root)
            raise HostError(f"{path}: not a folder")

    def __enter__(self) -> SharedFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)

    # ---- ways to files ------------------------------------------------------------------------------------------

    @contextmanager
    def _folder(self, path: FilePath) -> Iterator[int]:
        """A folder, open."""
        fd = os.open(".", _FOLDER, dir_fd=self._root)
        try:
            for name in path:
                before, fd = fd, -1
                try:
                    fd = os.open(name, _FOLDER, dir_fd=before)
                finally:
                    os.close(before)
            yield fd
        finally:
            if fd >= 0:
                os.close(fd)

    @contextmanager
    def _file(self, path: FilePath, flags: int) -> Iterator[int]:
        """A regular file, open; one with another name elsewhere is not opened for writing."""
        if not path:
            raise refuse(errno.EISDIR)
        with self._folder(path[:-1]) as folder:
            _check_regular(os.stat(path[-1], dir_fd=folder, follow_symlinks=False))
            fd = os.open(path[-1], flags | _FILE, dir_fd=folder)
        try:
            found = os.fstat(fd)
            _check_regular(found)
            if flags & os.O_ACCMODE != os.O_RDONLY and found.st_nlink > 1:
                raise refuse(errno.EPERM)
            yield fd
        finally:
            os.close(fd)

    def _lstat(self, path: FilePath) -> os.stat_result:
        if not path:
            return os.fstat(self._root)
        with self._folder(path[:-1]) as folder:
            return os.stat(path[-1], dir_fd=folder, follow_symlinks=False)

    # ---- reading ------------------------------------------------------------------------------------------------

    def status(self, path: FilePath) -> Status:
        """The attributes of a file or folder."""
        found = self._lstat(path)
        if not any(is_kind(found.st_mode) for is_kind in _KINDS):
            raise refuse(errno.ENOENT)
        mode = stat.S_IFMT(found.st_mode) | found.st_mode & PERMISSIONS
        size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
        return Status(mode, size, self.changed.get(path, found.st_mtime_ns))

    def names(self, path: FilePath) -> list[tuple[bytes, int]]:
        """Names in a folder with their kinds, the file type bits of a mode, sorted by their bytes."""
        names = []
        with self._folder(path) as folder, os.scandir(folder) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                if any(is_kind(mode) for is_kind in _KINDS):
                    names.append((os.fsencode(entry.name), stat.S_IFMT(mode)))
                if len(names) > MOST_ENTRIES:
                    raise refuse(errno.EOVERFLOW)
        return sorted(names)

    def read(self, path: FilePath, offset: int, size: int) -> bytes:
        """At most ``size`` bytes of a file."""
        with self._file(path, os.O_RDONLY) as fd:
            return os.pread(fd, size, offset)

    def link_text(self, path: FilePath) -> bytes:
        """What a symbolic link says."""
        with self._folder(path[:-1]) as folder:
            return os.readlink(path[-1], dir_fd=folder) if path else b""

    def check_open(self, path: FilePath, flags: int) -> None:
        """Whether a file can be opened so, by the access mode in ``flags``; it is cut where they have O_TRUNC."""
        writes = flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC
        if writes:
            self._check_writable()
        with self._file(path, os.O_WRONLY if writes else os.O_RDONLY) as fd:
            if flags & os.O_TRUNC:
                os.ftruncate(fd, 0)
                self._touch(path)

    # ---- writing ------------------------------------------------------------------------------------------------

    def _check_writable(self) -> None:
        if not self.writable:
            raise refuse(errno.EROFS)

    def _take(self, size: int) -> None:
        if self.written + size > MOST_WRITTEN:
            raise refuse(errno.ENOSPC)
        self.written += size

    def _touch(self, *paths: FilePath) -> None:
        for path in paths:
            if path in self.changed or len(self.changed) < _MOST_CHANGED:
                self.changed[path] = self.now()

    def write(self, path: FilePath, offset: int, data: bytes) -> int:
        """Store bytes; returns how many."""
        self._check_writable()
        with self._file(path, os.O_WRONLY) as fd:
            self._take(max(len(data), offset + len(data) - os.fstat(fd).st_size))
            done = os.pwrite(fd, data, offset)
        self._touch(path)
        return done

    def truncate(self, path: FilePath, size: int) -> None:
        """Set a file's size."""
        self._check_writable()
        with self._file(path, os.O_WRONLY) as fd:
            self._take(max(0, size - os.fstat(fd).st_size))
            os.ftruncate(fd, size)
        self._touch(path)

    @contextmanager
    def _parent(self, path: FilePath) -> Iterator[int]:
        """The folder that a change is made in, open; both then have a new time."""
        self._check_writable()
        if not path:
            raise refuse(errno.EBUSY)
        with self._folder(path[:-1]) as folder:
            yield folder
        self._touch(path[:-1])

    def create(self, path: FilePath, mode: int, exclusive: bool) -> None:
        """Make an empty file; one that is there stays as it is, or is refused with ``exclusive``."""
        self._check_writable()
        if not exclusive and path and self._exists(path):
            self.check_open(path, os.O_WRONLY)
            return
        self._take(_CREATED)
        with self._parent(path) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE
            os.close(os.open(path[-1], flags, mode & PERMISSIONS, dir_fd=folder))
        self._touch(path)

    def _exists(self, path: FilePath) -> bool:
        with self._folder(path[:-1]) as folder:
            return _is_there(path[-1], folder)

    def make_folder(self, path: FilePath, mode: int) -> None:
        """Make a folder."""
        self._check_writable()
        self._take(_CREATED)
        with self._parent(path) as folder:
            os.mkdir(path[-1], mode & PERMISSIONS, dir_fd=folder)
        self._touch(path)

    def remove(self, path: FilePath, is_folder: bool) -> None:
        """Remove a name, or an empty folder."""
        with self._parent(path) as folder:
            if is_folder:
                os.rmdir(path[-1], dir_fd=folder)
            else:
                os.unlink(path[-1], dir_fd=folder)
        self.changed.pop(path, None)

    def rename(self, old: FilePath, new: FilePath, replace: bool) -> None:
        """Rename a file or folder with all that is in it."""
        with self._parent(old) as folder, self._parent(new) as target:
            if not replace and _is_there(new[-1], target):
                raise refuse(errno.EEXIST)
            os.rename(old[-1], new[-1], src_dir_fd=folder, dst_dir_fd=target)
        moved = {path: time for path, time in self.changed.items() if path[: len(old)] == old}
        self.changed = {path: time for path, time in self.changed.items() if path not in moved}
        self.changed |= {(*new, *path[len(old) :]): time for path, time in moved.items()}

    def set_mode(self, path: FilePath, mode: int) -> None:
        """Set the permissions of a file or folder."""
        self._check_writable()
        mode &= PERMISSIONS
        if stat.S_ISDIR(self._lstat(path).st_mode):
            with self._folder(path) as fd:
                os.fchmod(fd, mode)
        else:
            with self._file(path, os.O_WRONLY) as fd:
                os.fchmod(fd, mode)

    def set_time(self, path: FilePath, changed_ns: int | None) -> None:
        """Set the time of the last change; now where None."""
        self._check_writable()
        if changed_ns is not None and changed_ns > _LATEST_NS:
            raise refuse(errno.EINVAL)
        if changed_ns is None:
            self._touch(path)
            return
        is_folder = stat.S_ISDIR(self._lstat(path).st_mode)
        with self._folder(path) if is_folder else self._file(path, os.O_WRONLY) as fd:
            os.utime(fd, ns=(changed_ns, changed_ns))
        self.changed.pop(path, None)


def _check_regular(found: os.stat_result) -> None:
    """Refuse another kind of file before it is opened, which may do something by itself."""
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFDIR: errno.EISDIR, stat.S_IFLNK: errno.ELOOP}
        raise refuse(kinds.get(stat.S_IFMT(found.st_mode), errno.ENOENT))


def _is_there(name: bytes, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
