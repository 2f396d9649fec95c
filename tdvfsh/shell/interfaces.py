"""What the shell asks of file systems and of the clock: for the type checker, never imported at run time."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Protocol
from tdvfsh.uefi.filesystem import Parts
from tdvfsh.uefi.volume import Volume

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


class FileSystem(Volume, Protocol):
    """What a mounted file system can do beyond being read and written."""

    def set_modified(self, parts: Parts, seconds: int) -> None:
        """Set the time of last change; raises FileSystemError."""

    def state(self) -> object:
        """What it keeps that is not on the host's disk, to go back to."""

    def restore(self, state: object) -> None:
        """Restore what :meth:`state` returned."""


class LineWatcher(Protocol):
    """Observer of what a shell is about to run: a recorder, a view beside the prompt."""

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
