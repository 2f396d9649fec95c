"""A value for every address: painting a range over, looking at pieces."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor, memory_type_name

HOLE: Final = -1
"""No memory that firmware knows of."""
ACCEPTED_ONLY: Final = -2
"""Accepted, but not in the memory map: the accept protocol or a TDCALL alone."""
_LIMIT: Final = 1 << 64
_LABELS: Final = {
    HOLE: "nothing",
    ACCEPTED_ONLY: "Accepted only",
    **{int(kind): kind.label for kind in EfiMemoryType},
}


class Piece(NamedTuple):
    """``[start, end)`` in bytes, of one type."""

    start: int
    end: int
    memory_type: int


class PaintedMap:
    """Memory types by address; what was never painted is :data:`HOLE`."""

    __slots__ = ("_starts", "_values")

    def __init__(self, descriptors: Iterable[MemoryDescriptor] = ()) -> None:
        self._starts = [0]
        self._values = [HOLE]
        for entry in descriptors:
            self.paint(entry.physical_start, entry.physical_end, entry.memory_type)

    def __iter__(self) -> Iterator[Piece]:
        """The pieces that are not holes, ascending; equal neighbours are one."""
        ends = [*self._starts[1:], _LIMIT]
        for start, end, value in zip(self._starts, ends, self._values, strict=True):
            if value != HOLE:
                yield Piece(start, end, value)

    def at(self, address: int) -> int:
        """The type at an address."""
        return self._values[bisect_right(self._starts, address) - 1]

    def paint(self, start: int, end: int, value: int) -> None:
        """Set ``[start, end)`` to one type."""
        if start >= end:
            return
        low, high = self._cut(start), self._cut(end)
        starts, values = self._starts, self._values
        if low and values[low - 1] == value:
            low -= 1
            start = starts[low]
        if high < len(values) and values[high] == value:
            high += 1
        starts[low:high] = (start,)
        values[low:high] = (value,)

    def pieces(self, start: int, end: int) -> list[Piece]:
        """What ``[start, end)`` is made of, holes too."""
        found = []
        index = bisect_right(self._starts, start) - 1
        while start < end:
            piece_end = min(self._starts[index + 1] if index + 1 < len(self._starts) else _LIMIT, end)
            found.append(Piece(start, piece_end, self._values[index]))
            start, index = piece_end, index + 1
        return found

    def _cut(self, address: int) -> int:
        """The index of the piece that begins at ``address``, made where it is missing."""
        index = bisect_left(self._starts, address)
        if address < _LIMIT and (index == len(self._starts) or self._starts[index] != address):
            self._starts.insert(index, address)
            self._values.insert(index, self._values[index - 1])
        return index


def type_label(memory_type: int) -> str:
    """A short name, as ``memmap`` prints it."""
    return _LABELS.get(memory_type) or memory_type_name(memory_type)
