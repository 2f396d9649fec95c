"""What a file system can do: asked by the shell's commands and by the protocols that running EFI code opens."""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.lazy_typing import Protocol
from tdvfsh.uefi.filesystem import FileInfo, Parts


class FileWriter(Protocol):
    """An open file that is written from its start."""

    def write(self, data: bytes) -> None:
        """Append bytes; raises FileSystemError."""

    def close(self) -> None:
        """Done."""


class Volume(Protocol):
    """A file system; every method that fails raises FileSystemError. Names are found without regard to case."""

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

    def save(self, parts: Parts, pieces: Iterable[bytes | int]) -> None:
        """Create a file, with its missing folders, or replace it: whole, or not at all where a piece fails.

        Args:
            parts: The file.
            pieces: Its contents in order: bytes, or how many zeros follow, which are a hole where there are holes. They
                may come from the file itself.
        """

    def make_directory(self, parts: Parts) -> None:
        """Create a directory and the missing ones above."""

    def remove(self, parts: Parts) -> None:
        """Delete a file or an empty directory."""

    def rename(self, old: Parts, new: Parts) -> None:
        """Move an entry within the file system."""

    def set_attributes(self, parts: Parts, attributes: str) -> None:
        """Set the letters of ``ahrs``; they last as long as the volume is kept."""

    def space(self) -> tuple[int, int]:
        """Bytes of the volume, and free bytes."""
