"""Typed lines, kept across runs in a file that several shells may write at once.

One line of UTF-8 each. A line is appended under a lock; other shells pick it up before their next prompt. A file that
has grown too long is replaced by its own end, also under the lock. A line with a NUL is one whose writer was killed; it
is passed over.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tdvfsh import host
from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import Final
from tdvfsh.whole_file import append_whole, replacing

KEPT: Final = 5_000
MOST_BYTES: Final = 1 << 20


def default_history_path() -> Path:
    """``$XDG_STATE_HOME/tdvfsh/history``, or the same below ``~/.local/state``.

    Raises:
        HostError: No home folder.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "tdvfsh" / "history"
    try:
        return Path.home() / ".local" / "state" / "tdvfsh" / "history"
    except RuntimeError as error:
        raise HostError("no home folder to keep the history in; set XDG_STATE_HOME") from error


class HistoryFile:
    """Lines of this run and earlier ones.

    Args:
        path: The file; its folder is made where it is missing. None keeps lines in memory only.
        warn: Called once, with one line, where lines cannot be kept.

    Attributes:
        entries: The lines, oldest first.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._file = (0, 0)  # device and inode that were read
        self._offset = 0
        self.entries: list[str] = []
        self.refresh()

    def append(self, line: str) -> None:
        """Keep a line; one that says the same as the last, or nothing, is not kept."""
        if not line.strip() or "\n" in line or "\0" in line:
            return
        with self._locked() as descriptor:
            if descriptor is not None:
                self._read(descriptor)
            if self.entries and self.entries[-1] == line:
                return
            self.entries.append(line)
            if descriptor is not None:
                self._write(descriptor, line)

    def refresh(self) -> None:
        """Read what other shells have added."""
        with self._locked() as descriptor:
            if descriptor is not None:
                self._read(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[int | None]:
        """The file, open and locked; None where there is none. Errors become a warning, once."""
        descriptor = self._open()
        try:
            yield descriptor
        except OSError as error:
            self._give_up(error)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _open(self) -> int | None:
        if self._path is None:
            return None
        try:
            return _open_locked(self._path)
        except OSError as error:
            self._read_only(self._path)
            self._give_up(error)
            return None

    def _give_up(self, error: OSError) -> None:
        path, self._path = self._path, None
        self._warn(f"history is not kept: {path}: {error.strerror or error}")

    def _read_only(self, path: Path) -> None:
        """What earlier runs left, where it can be read at least."""
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | host.O_CLOEXEC | host.O_NONBLOCK)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    self._read(descriptor)
            finally:
                os.close(descriptor)

    def _read(self, descriptor: int) -> None:
        info = os.fstat(descriptor)
        if (info.st_dev, info.st_ino) != self._file or info.st_size < self._offset:
            self._file = info.st_dev, info.st_ino
            self._offset = 0
            self.entries = []
        start = max(self._offset, info.st_size - MOST_BYTES)
        if start < info.st_size:
            lines = host.pread(descriptor, info.st_size - start, start).decode("utf-8", "surrogateescape").split("\n")
            if start > self._offset:  # the first line lost its beginning
                del lines[0]
            self.entries += [line for line in lines if line and "\0" not in line]
            self._offset = info.st_size
        del self.entries[:-KEPT]

    def _write(self, descriptor: int, line: str) -> None:
        data = line.encode("utf-8", "surrogateescape") + b"\n"
        if self._offset and host.pread(descriptor, 1, self._offset - 1) != b"\n":
            data = b"\n" + data  # a shell that died left half a line
        self._offset = append_whole(descriptor, data)
        if self._offset > MOST_BYTES:
            self._shorten()

    def _shorten(self) -> None:
        """Put the end of the history in the file's place; a process that waits for the old file's lock looks again."""
        assert self._path is not None
        data = b""
        for line in reversed(self.entries):
            longer = line.encode("utf-8", "surrogateescape") + b"\n" + data
            if len(longer) > MOST_BYTES // 2:
                break
            data = longer
        with replacing(self._path) as new:
            new.write(data)
            info = os.fstat(new.fileno())
        self._file, self._offset = (info.st_dev, info.st_ino), len(data)


def _open_locked(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | host.O_CLOEXEC | host.O_NONBLOCK, 0o600)
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise OSError("not a regular file")
            host.lock(descriptor)
            if os.path.exists(path) and os.path.samestat(os.stat(path), info):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
