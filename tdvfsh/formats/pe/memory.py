"""What a loaded image's memory holds, known from its copies and zero fills without any memory being there.

Later pieces overwrite earlier ones, as sections that overlap do. Bytes that nothing wrote count as zero; in a machine
they are whatever the pages held.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from tdvfsh.formats.mapped import ByteSource
from tdvfsh.lazy_typing import NamedTuple


class Piece(NamedTuple):
    """``size`` bytes at ``rva``, copied from ``file_offset`` or, where that is None, zero."""

    rva: int
    size: int
    file_offset: int | None


class LoadedImage:
    """Reader by RVA over pieces in the order in which the loader wrote them."""

    __slots__ = ("_pieces", "_source", "_starts")

    def __init__(self, source: ByteSource, pieces: list[Piece]) -> None:
        self._source = source
        self._pieces = _visible(pieces)
        self._starts = [piece.rva for piece in self._pieces]

    def read(self, rva: int, size: int) -> bytes:
        """``size`` bytes at ``rva``."""
        data = bytearray(size)
        end = rva + size
        for piece in self._pieces[max(bisect_right(self._starts, rva) - 1, 0) : bisect_left(self._starts, end)]:
            start, stop = max(piece.rva, rva), min(piece.rva + piece.size, end)
            if piece.file_offset is not None and start < stop:
                data[start - rva : stop - rva] = self._source.read(
                    piece.file_offset + start - piece.rva, stop - start, "section data"
                )
        return bytes(data)

    def backed(self, rva: int, size: int) -> Iterator[tuple[int, int]]:
        """The parts of ``[rva, rva + size)`` that come from the file, as half-open ranges; the rest is zero."""
        end = rva + size
        for piece in self._pieces[max(bisect_right(self._starts, rva) - 1, 0) : bisect_left(self._starts, end)]:
            start, stop = max(piece.rva, rva), min(piece.rva + piece.size, end)
            if piece.file_offset is not None and start < stop:
                yield start, stop

    def u32(self, rva: int) -> int:
        """The little-endian u32 at ``rva``."""
        return int.from_bytes(self.read(rva, 4), "little")


class Coverage:
    """A growing set of half-open ranges, each byte of which is handed out once, whatever ranges come."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Cover ``[start, end)``; the parts of it that were not covered before."""
        if start >= end:
            return []
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)
        fresh: list[tuple[int, int]] = []
        cursor = start
        for covered_start, covered_end in zip(self._starts[first:last], self._ends[first:last], strict=True):
            if covered_start > cursor:
                fresh.append((cursor, covered_start))
            cursor = max(cursor, covered_end)
        if cursor < end:
            fresh.append((cursor, end))
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        return fresh


def _visible(pieces: list[Piece]) -> list[Piece]:
    """The parts of pieces that no later piece covers, sorted."""
    coverage = Coverage()
    visible = [
        Piece(start, end - start, None if file_offset is None else file_offset + start - rva)
        for rva, size, file_offset in reversed(pieces)
        for start, end in coverage.add(rva, rva + size)
    ]
    return sorted(visible, key=lambda piece: piece.rva)
