"""Ascending addresses in chunks, so that a long list need not move all of itself for one insertion.

A list of up to :data:`CHUNK_LIMIT` items is one chunk and as quick as a plain list. Each chunk has a *floor*: no item
of it is below, and all items of the chunks before it are below. A floor need not be an item, so removing one moves no
floor.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import chain

from tdvfsh.lazy_typing import Final, TypeVar

CHUNK_LIMIT: Final = 1024
FREE_CHUNK_LIMIT: Final = 128
_NO_BOUND: Final = 1 << 64

Self = TypeVar("Self", bound="SortedStarts")


class SortedStarts:
    """Distinct non-negative ints, ascending.

    Attributes:
        chunks: The items; none of the chunks is empty unless it is the only one.
        floors: A floor for each chunk; the first is 0.

    Code that edits a chunk in place keeps new items below the last item of that chunk, or has only one chunk.
    """

    __slots__ = ("chunks", "floors")
    limit = CHUNK_LIMIT

    def __init__(self, starts: Iterable[int] = ()) -> None:
        items = sorted(starts)
        step = self.limit * 3 // 4
        self.chunks = [items[at : at + step] for at in range(0, len(items), step)] if items else [[]]
        self.floors = [0] + [chunk[0] for chunk in self.chunks[1:]]

    def copy(self: Self) -> Self:
        """An independent copy."""
        twin = object.__new__(type(self))
        twin.chunks = [chunk.copy() for chunk in self.chunks]
        twin.floors = self.floors.copy()
        return twin

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.chunks)

    def at_or_below(self, address: int) -> int | None:
        """The last item that is not above ``address``, or None."""
        which = bisect_right(self.floors, address) - 1
        if which < 0:
            return None
        chunk = self.chunks[which]
        place = bisect_right(chunk, address)
        if place:
            return chunk[place - 1]
        return self.chunks[which - 1][-1] if which else None

    def between(self, low: int, high: int) -> list[int]:
        """The items in ``[low, high)``, ascending."""
        if len(self.chunks) == 1:
            chunk = self.chunks[0]
            return chunk[bisect_left(chunk, low) : bisect_left(chunk, high)]
        which = max(bisect_right(self.floors, low) - 1, 0)
        chunk = self.chunks[which]
        first, last = bisect_left(chunk, low), bisect_left(chunk, high)
        found = chunk[first:last]
        while last == len(chunk) and which + 1 < len(self.chunks):
            which += 1
            chunk = self.chunks[which]
            last = bisect_left(chunk, high)
            found += chunk[:last]
        return found

    def add(self, start: int) -> None:
        """Put in an item that is not there."""
        which = bisect_right(self.floors, start) - 1
        chunk = self.chunks[which]
        insort(chunk, start)
        if len(chunk) > self.limit:
            self.split(which)

    def remove(self, start: int) -> None:
        """Take out an item that is there."""
        which = bisect_right(self.floors, start) - 1
        chunk = self.chunks[which]
        del chunk[bisect_left(chunk, start)]
        if not chunk and len(self.chunks) > 1:
            self._forget(which)

    def split(self, which: int) -> None:
        """Make two of a chunk."""
        chunk = self.chunks[which]
        middle = len(chunk) // 2
        self.chunks[which : which + 1] = (chunk[:middle], chunk[middle:])
        self.floors.insert(which + 1, chunk[middle])

    def _forget(self, which: int) -> None:
        del self.chunks[which], self.floors[which]
        self.floors[0] = 0


class FreeStarts(SortedStarts):
    """Starts of free ranges, with an upper bound of the sizes in each chunk: a search passes over whole chunks.

    Attributes:
        largest: For each chunk, no range in it is larger. A search that went through a chunk in vain may lower it, but
            not that of an only chunk, which is never raised.

    The same once more for each group of chunks: where the chunks are many, a search passes over whole groups.
    """

    __slots__ = ("_summits", "largest")
    limit = FREE_CHUNK_LIMIT
    group_shift = 5  # 32 chunks in a group

    def __init__(self, starts: Iterable[int] = ()) -> None:
        super().__init__(starts)
        self.largest = [_NO_BOUND] * len(self.chunks)
        self._summits: list[int] = []
        self._group()

    def copy(self) -> FreeStarts:
        """An independent copy."""
        twin = super().copy()
        twin.largest = self.largest.copy()
        twin._summits = self._summits.copy()
        return twin

    def add_range(self, start: int, size: int) -> None:
        """Put in a range that is not there."""
        self.grow(start, size)
        self.add(start)

    def grow(self, start: int, size: int) -> None:
        """The range at ``start`` has ``size`` bytes now, more than before."""
        if len(self.chunks) > 1:
            which = bisect_right(self.floors, start) - 1
            if size > self.largest[which]:
                self.largest[which] = size
                group = which >> self.group_shift
                if size > self._summits[group]:
                    self._summits[group] = size

    def move(self, start: int, new_start: int) -> None:
        """The range at ``start`` begins at ``new_start`` now, before the next one, and ends where it did."""
        which = bisect_right(self.floors, start) - 1
        chunk = self.chunks[which]
        place = bisect_left(chunk, start)
        if place + 1 < len(chunk) or which + 1 == len(self.chunks):
            chunk[place] = new_start
        else:
            bound = self.largest[which]
            self.remove(start)
            self.add_range(new_start, bound)

    def last_that_may_hold(self, size: int, lowest: int, before: int) -> int:
        """The last chunk in ``[lowest, before)`` in which a range may have ``size`` bytes; ``lowest - 1`` for none."""
        largest, summits, shift = self.largest, self._summits, self.group_shift
        which = before - 1
        while which >= lowest:
            group = which >> shift
            first = group << shift
            if summits[group] >= size:
                for one in range(which, max(first, lowest) - 1, -1):
                    if largest[one] >= size:
                        return one
                if first >= lowest and which + 1 in ((group + 1) << shift, len(largest)):
                    summits[group] = max(largest[first : which + 1])
            which = first - 1
        return lowest - 1

    def split(self, which: int) -> None:
        """Make two of a chunk."""
        super().split(which)
        self.largest.insert(which, self.largest[which])
        self._group(which)

    def _forget(self, which: int) -> None:
        super()._forget(which)
        del self.largest[which]
        if len(self.chunks) == 1:
            self.largest[0] = _NO_BOUND
        self._group(which)

    def _group(self, which: int = 0) -> None:
        """The summits of the groups from that of chunk ``which`` on, anew: chunks have come or gone."""
        largest, shift = self.largest, self.group_shift
        first, size = which >> shift, 1 << shift
        self._summits[first:] = [max(largest[at : at + size]) for at in range(first << shift, len(largest), size)]
