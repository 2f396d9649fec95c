"""A memory map in firmware's manner: a linked list that every call walks.

Written for comparison only. It keeps edk2's rules for AnyPages in a machine without bins, and nothing else: no key, no
journal, no event, so it is a peer with less to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_CONVENTIONAL: Final = 7
_PAGE: Final = 4096


class _Entry:
    __slots__ = ("end", "memory_type", "next", "previous", "start")

    def __init__(self, start: int, end: int, memory_type: int) -> None:
        self.start = start
        self.end = end
        self.memory_type = memory_type
        self.next: _Entry = self
        self.previous: _Entry = self


class NaiveFirmware:
    """Entries ``(start, end, type)``, in any order, as firmware's list is in none."""

    def __init__(self, entries: Iterable[tuple[int, int, int]]) -> None:
        self._head = _Entry(-1, -1, -1)
        for start, end, memory_type in entries:
            self._add(start, end, memory_type)

    def allocate(self, pages: int, memory_type: int, maximum: int = (1 << 64) - 1) -> int:
        """AllocatePages of AnyPages or MaxAddress; 0 where nothing fits."""
        size, target = pages * _PAGE, 0
        entry = self._head.next
        while entry is not self._head:
            if entry.memory_type == _CONVENTIONAL:
                end = min(entry.end, maximum + 1)
                if end - entry.start >= size and end > target:
                    target = end
            entry = entry.next
        if target == 0:
            return 0
        self._convert(target - size, target, memory_type)
        return target - size

    def free(self, start: int, pages: int) -> None:
        """FreePages."""
        self._convert(start, start + pages * _PAGE, _CONVENTIONAL)

    def memory_map(self) -> list[tuple[int, int, int]]:
        """GetMemoryMap: every entry visited, nothing remembered."""
        found = []
        entry = self._head.next
        while entry is not self._head:
            found.append((entry.memory_type, entry.start, (entry.end - entry.start) >> 12))
            entry = entry.next
        return found

    def _convert(self, start: int, end: int, memory_type: int) -> None:
        entry = self._head.next
        while not entry.start <= start < entry.end:
            entry = entry.next
        if entry.end > end:
            self._link(_Entry(end, entry.end, entry.memory_type))
        if entry.start < start:
            entry.end = start
        else:
            self._unlink(entry)
        self._add(start, end, memory_type)

    def _add(self, start: int, end: int, memory_type: int) -> None:
        entry = self._head.next
        while entry is not self._head:
            following = entry.next
            if entry.memory_type == memory_type:
                if entry.end == start:
                    start = entry.start
                    self._unlink(entry)
                elif entry.start == end:
                    end = entry.end
                    self._unlink(entry)
            entry = following
        self._link(_Entry(start, end, memory_type))

    def _link(self, entry: _Entry) -> None:
        last = self._head.previous
        entry.previous, entry.next = last, self._head
        last.next = self._head.previous = entry

    @staticmethod
    def _unlink(entry: _Entry) -> None:
        entry.previous.next = entry.next
        entry.next.previous = entry.previous
