"""What FAT keeps of files and directories and a host's file system does not.

Attributes; the size of a directory, which never shrinks; the date of the last access; how much of the volume's free
space went to what was written. A directory in which an entry was written is itself changed, and so are all above it:
they get the archive attribute.

Source: edk2 FatPkg/EnhancedFatDxe (Flush.c, FatOFileFlush; ReadWrite.c, FatAccessOFile; Info.c, FatSetFileInfo).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tdvfsh.lazy_typing import TypeVar
from tdvfsh.uefi.filesystem import entry_size, whole_blocks

_Marks = tuple[dict[str, str], dict[str, int], dict[str, int], int, int]
_Mark = TypeVar("_Mark", str, int)


class FatMarks:
    """The marks of one volume, by path.

    Args:
        now: Seconds since 1970 UTC by the clock of the machine; None leaves dates as the host has them.
    """

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        self.now = now
        self._attributes: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._accessed: dict[str, int] = {}
        self._blocks = 0
        self._entries = 0

    def state(self) -> _Marks:
        """All marks as they are now."""
        return self._attributes.copy(), self._sizes.copy(), self._accessed.copy(), self._blocks, self._entries

    def restore(self, state: object) -> None:
        """Restore what :meth:`state` returned."""
        assert isinstance(state, tuple)
        attributes, sizes, accessed, self._blocks, self._entries = state
        self._attributes, self._sizes, self._accessed = attributes.copy(), sizes.copy(), accessed.copy()

    def attributes(self, path: str, *, directory: bool) -> str:
        """Letters of ``ahrs``; a file that was never marked has ``a``."""
        return self._attributes.get(path, "" if directory else "a")

    def set_attributes(self, path: str, attributes: str) -> None:
        """Set the letters of ``ahrs``, which counts as an access."""
        self._attributes[path] = attributes
        if self.now is not None:
            self._accessed[path] = self.now()

    def size(self, path: str, size: int) -> int:
        """The size of a directory whose present entries take ``size`` bytes."""
        return max(size, self._sizes.get(path, 0))

    def keep_size(self, path: str, size: int) -> None:
        """An entry is about to leave a directory of this size."""
        self._sizes[path] = self.size(path, size)

    @property
    def taken(self) -> int:
        """Bytes of free space that entries and contents took since the volume was mounted; below 0 where it grew."""
        return self._blocks + whole_blocks(self._entries)

    def resized(self, name: str, before: int | None, after: int | None) -> None:
        """An entry's contents have another size.

        Args:
            name: The entry's name.
            before: Bytes before; None where it was not there, so that its directory got an entry.
            after: Bytes now; None where it is gone, which no directory shrinks for.
        """
        self._blocks += whole_blocks(after or 0) - whole_blocks(before or 0)
        self._entries += entry_size(name) if before is None and after is not None else 0

    def accessed(self, path: str) -> int | None:
        """Seconds since 1970 UTC of the last access that is known."""
        return self._accessed.get(path)

    def changed(self, directories: Iterable[str]) -> None:
        """An entry was written in the first of these directories; the others stand above it."""
        for path in directories:
            attributes = self._attributes.get(path, "")
            if "a" not in attributes:
                self._attributes[path] = "a" + attributes

    def removed(self, path: str) -> None:
        """An entry is gone."""
        self._attributes.pop(path, None)
        self._sizes.pop(path, None)
        self._accessed.pop(path, None)

    def renamed(self, old: str, new: str) -> None:
        """An entry has another path; so has all that is in it."""
        _move(self._attributes, old, new)
        _move(self._sizes, old, new)
        _move(self._accessed, old, new)


def _move(marks: dict[str, _Mark], old: str, new: str) -> None:
    inside = old + "/"
    for path in [one for one in marks if one == old or one.startswith(inside)]:
        marks[new + path[len(old) :]] = marks.pop(path)
