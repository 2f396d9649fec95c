"""What the shell asks of file systems and of the clock: for the type checker, never imported at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tdvfsh.commands.filesystem import FileInfo, Parts

if TYPE_CHECKING:
    from tdvfsh.commands.shell import Shell


class FileWriter(Protocol):
    """An open file that grows."""

    def write(self, data: bytes) -> None:
        """Append bytes; raises FileSystemError."""

    def close(self) -> None:
        """Done."""


class FileSystem(Protocol):
    """What a mounted file system can do. Every method that fails raises FileSystemError."""

    label: str
    writable: bool

    def info(self, parts: Parts) -> FileInfo | None:
        """One entry, None where there is none. The root is a directory without a name."""

    def entries(self, parts: Parts) -> list[FileInfo]:
        """All entries of a directory, without ``.`` and ``..``, in no particular order."""

    def read(self, parts: Parts, size: int = -1, offset: int = 0) -> bytes:
        """Contents of a file, at most ``size`` bytes from ``offset``."""

    def open_writer(self, parts: Parts, *, append: bool) -> FileWriter:
        """Create a file, with its missing folders, or empty it, or append to it."""

    def make_directory(self, parts: Parts) -> None:
        """Create a directory and the missing ones above."""

    def remove(self, parts: Parts) -> None:
        """Delete a file or an empty directory."""

    def rename(self, old: Parts, new: Parts) -> None:
        """Move an entry within the file system."""

    def set_attributes(self, parts: Parts, attributes: str) -> None:
        """Set the letters of ``ahrs``; they last as long as the shell."""

    def set_modified(self, parts: Parts, seconds: int) -> None:
        """Set the time of last change."""

    def space(self) -> tuple[int, int]:
        """Bytes of the volume, and free bytes."""

    def state(self) -> object:
        """What it keeps that is not on the host's disk, to go back to."""

    def restore(self, state: object) -> None:
        """Go back to what :meth:`state` gave."""


class LineWatcher(Protocol):
    """Somebody who is told what a shell is about to run: a recorder, a view beside the prompt."""

    def begins(self, shell: Shell, line: str, script: str | None, arguments: list[str]) -> None:
        """A typed line, or a script of this name, text and arguments, is about to run."""

    def ends(self, shell: Shell) -> None:
        """It has run."""


class Recording(Protocol):
    """A session that is being written to a file."""

    @property
    def name(self) -> str:
        """The file."""

    def stop(self) -> None:
        """Finish the file; raises HostError."""


class Clock(Protocol):
    """The virtual clock."""

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the machine started."""

    def advance(self, nanoseconds: int) -> None:
        """Let time pass."""
