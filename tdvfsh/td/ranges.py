"""A sorted list of disjoint half-open ranges, each with a value."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator

from tdvfsh.lazy_typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class RangeMap(Generic[T]):
    """Byte ranges ``[start, end)`` with values; neighbours of equal value are one range.

    A lookup is a binary search; a change costs a search plus the ranges it touches. The size of a range never matters.

    Attributes:
        changes: How often it was changed; while that stays the same, so does everything else.
    """

    __slots__ = ("_ends", "_starts", "_totals", "_values", "changes")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._values: list[T] = []
        self._totals: dict[T, int] = {}
        self.changes = 0

    def __len__(self) -> int:
        return len(self._starts)

    def get(self, address: int) -> T | None:
        """The value at ``address``, or None outside every range."""
        index = bisect_right(self._starts, address) - 1
        return self._values[index] if index >= 0 and address < self._ends[index] else None

    def find(self, address: int) -> tuple[int, int, T] | None:
        """The range ``(start, end, value)`` that holds ``address``, or None."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._ends[index]:
            return None
        return self._starts[index], self._ends[index], self._values[index]

    def next_start(self, address: int) -> int | None:
        """Start of the first range that begins above ``address``, or None."""
        index = bisect_right(self._starts, address)
        return self._starts[index] if index < len(self._starts) else None

    def gap(self, address: int) -> tuple[int, int | None]:
        """What lies around ``address`` outside every range: its start and its end, None for no end."""
        index = bisect_right(self._starts, address)
        return self._ends[index - 1] if index else 0, self._starts[index] if index < len(self._starts) else None

    def set(self, start: int, end: int, value: T) -> None:
        """Set ``[start, end)`` to a value, over what was there; an empty range changes nothing."""
        if start >= end:
            return
        self.changes += 1
        low, high = self._cut(start, end)
        if low and self._ends[low - 1] == start and self._values[low - 1] == value:
            low -= 1
            self._count(value, -(self._ends[low] - self._starts[low]))
            start = self._starts[low]
        if high < len(self._starts) and self._starts[high] == end and self._values[high] == value:
            self._count(value, -(self._ends[high] - self._starts[high]))
            end = self._ends[high]
            high += 1
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]
        self._values[low:high] = [value]
        self._count(value, end - start)

    def clear(self, start: int, end: int) -> None:
        """Take every value off ``[start, end)``."""
        if start >= end:
            return
        self.changes += 1
        low, high = self._cut(start, end)
        del self._starts[low:high], self._ends[low:high], self._values[low:high]

    def spans(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, T]]:
        """The ranges inside ``[start, end)`` in ascending order, clipped to it; ``end`` None means no limit."""
        index = bisect_right(self._ends, start)
        while index < len(self._starts):
            low, high = max(self._starts[index], start), self._ends[index]
            if end is not None and low >= end:
                return
            yield low, high if end is None else min(high, end), self._values[index]
            index += 1

    def total(self, value: T) -> int:
        """Bytes that have ``value``; a running count, no search."""
        return self._totals.get(value, 0)

    def copy(self) -> RangeMap[T]:
        """An independent copy that shares the values."""
        twin: RangeMap[T] = RangeMap()
        twin._starts = self._starts.copy()
        twin._ends = self._ends.copy()
        twin._values = self._values.copy()
        twin._totals = self._totals.copy()
        return twin

    def _cut(self, start: int, end: int) -> tuple[int, int]:
        """Split ranges at both bounds; the indexes ``[low, high)`` of what lies inside, no longer counted."""
        low = bisect_right(self._ends, start)
        if low < len(self._starts) and self._starts[low] < start:
            self._split(low, start)
            low += 1
        high = bisect_left(self._starts, end, low)
        if high > low and self._ends[high - 1] > end:
            self._split(high - 1, end)
        for index in range(low, high):
            self._count(self._values[index], self._starts[index] - self._ends[index])
        return low, high

    def _split(self, index: int, at: int) -> None:
        self._starts.insert(index + 1, at)
        self._ends.insert(index, at)
        self._values.insert(index + 1, self._values[index])

    def _count(self, value: T, size: int) -> None:
        total = self._totals.get(value, 0) + size
        if total:
            self._totals[value] = total
        else:
            self._totals.pop(value, None)
