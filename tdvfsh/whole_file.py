"""Files of the host that are written whole or not at all.

A file is written beside its place, as ``.tdvfsh-PID-N.part``, and then renamed. Its writer holds a lock on it, so that
one whose writer was killed is known by its lock being free: the next save into the folder deletes it. What is added to
a file gets its first byte last: where the writer is killed, the part that it added begins with a NUL.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from tdvfsh import host
from tdvfsh.errors import host_error
from tdvfsh.lazy_typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX: Final = ".tdvfsh-"
_SUFFIX: Final = ".part"
_cleared: set[str] = set()
"""Folders that this process has already looked through."""


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write bytes to, which stands under its name once the block has ended well; else nothing changes.

    As :func:`replacing`, for what users name.

    Raises:
        HostError: The host refuses: no space, no permission, no such folder.
    """
    try:
        with replacing(path) as file:
            yield file
    except OSError as error:
        raise host_error(path, error) from None


def write_whole(path: str | Path, data: bytes) -> None:
    """Write ``data`` as :func:`whole_file` does.

    Raises:
        HostError: The host refuses.
    """
    with whole_file(path) as file:
        file.write(data)


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write bytes to, which takes the place of ``path`` once the block has ended well; else nothing changes.

    It is written beside its place and then put there, with the mode of what stood there. A pipe, a terminal or a device
    is not a place for a temporary file: it is written to as it is.

    Raises:
        OSError: The host refuses.
    """
    from pathlib import Path  # costs a shell that writes nothing a tenth of its start

    target = Path(os.path.realpath(path))
    before = target.stat() if target.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(target, "wb") as file:
            yield file
        return
    if before is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    clear_parts(target.parent)
    part, whole = _begin(target.parent)
    with whole:
        try:
            yield whole
            whole.flush()
            if before is not None:
                os.fchmod(whole.fileno(), stat.S_IMODE(before.st_mode))
                os.fsync(whole.fileno())  # what stood there goes only once this is on the disk
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def append_whole(descriptor: int, data: bytes) -> int:
    """Add ``data`` to a file, whole or not at all: after a kill, a NUL stands in place of its first byte.

    Args:
        descriptor: The file, open for writing without O_APPEND, locked where others write to it as well.
        data: At least one byte, the first not a NUL.

    Returns:
        The file's new size in bytes.

    Raises:
        OSError: The host refuses; the file is as it was.
    """
    end = os.fstat(descriptor).st_size
    try:
        rest, at = memoryview(data)[1:], end + 1
        while rest:
            done = host.pwrite(descriptor, rest, at)
            rest, at = rest[done:], at + done
        host.pwrite(descriptor, data[:1], end)
    except OSError:
        os.ftruncate(descriptor, end)
        raise
    return end + len(data)


def clear_parts(folder: Path) -> None:
    """Delete what dead processes left half-written in a folder; once for each folder in a process."""
    if str(folder) in _cleared:
        return
    _cleared.add(str(folder))
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                _clear(entry.path)


def _clear(part: str) -> None:
    with suppress(OSError):
        descriptor = os.open(part, os.O_RDWR | host.O_CLOEXEC | host.O_NOFOLLOW | host.O_NONBLOCK)
        try:
            host.lock(descriptor, wait=False)
            if os.path.samestat(os.fstat(descriptor), os.lstat(part)):
                os.unlink(part)
        finally:
            os.close(descriptor)


def _begin(folder: Path) -> tuple[Path, BinaryIO]:
    """A new, empty file that this process holds the lock of."""
    for number in count():
        part = folder / f"{_PREFIX}{os.getpid()}-{number}{_SUFFIX}"
        try:
            file: BinaryIO = open(part, "xb")  # noqa: SIM115 - the caller closes it
        except FileExistsError:
            continue
        try:
            with suppress(OSError):  # a file system without locks: nothing is cleared there either
                host.lock(file.fileno())
            if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return part, file
        except BaseException:
            file.close()
            part.unlink(missing_ok=True)
            raise
        file.close()  # cleared by another process before it was locked
    raise AssertionError
