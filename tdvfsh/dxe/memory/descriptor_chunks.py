"""A long sequence of descriptors in chunks, so that a change costs by a chunk and not by the whole.

A memory map is read after every change of it, and mostly for its key and its size: to copy 100,000 descriptors each
time took a hundred times what the change itself did.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter

from tdvfsh.lazy_typing import Final, overload
from tdvfsh.uefi.memory import MemoryDescriptor

_LENGTH: Final = 256
"""Descriptors of a chunk at first; one that has grown to four times as many is split."""
_START: Final = itemgetter(1)


class DescriptorSequence(Sequence[MemoryDescriptor]):
    """Descriptors of a map as it was read: compares, hashes and shows as the tuple of them, and never changes."""

    __slots__ = ("_chunks", "_flat", "_length")

    def __init__(self, chunks: tuple[tuple[MemoryDescriptor, ...], ...], length: int) -> None:
        self._chunks = chunks
        self._length = length
        self._flat: tuple[MemoryDescriptor, ...] | None = None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[MemoryDescriptor]:
        return chain.from_iterable(self._chunks)

    @overload
    def __getitem__(self, index: int) -> MemoryDescriptor: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[MemoryDescriptor, ...]: ...
    def __getitem__(self, index: int | slice) -> MemoryDescriptor | tuple[MemoryDescriptor, ...]:
        if self._flat is None:
            self._flat = tuple(self)
        return self._flat[index]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, tuple | DescriptorSequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


class DescriptorChunks:
    """Descriptors by their start, in chunks that are replaced as a whole.

    Attributes:
        chunks: None of them is empty, unless it is the only one.
        length: Descriptors in all.
    """

    __slots__ = ("_firsts", "_lists", "_starts", "chunks", "length")

    def __init__(self, descriptors: list[MemoryDescriptor]) -> None:
        self.chunks: list[tuple[MemoryDescriptor, ...]] = []
        self._lists: list[list[MemoryDescriptor]] = []
        self._starts: list[list[int]] = []
        self._firsts: list[int] = []
        self.length = len(descriptors)
        self._put(0, 0, descriptors, list(map(_START, descriptors)))

    def around(self, low: int, high: int) -> tuple[int, int, list[MemoryDescriptor], list[int]]:
        """The first and the end of the chunks that hold ``[low, high)`` and a descriptor on either side of it.

        Returns:
            Both, and the descriptors of those chunks with their starts, to be changed in place and given to
            :meth:`replace` before anything else is asked: of one chunk they are the lists that it is kept in.
        """
        firsts, starts = self._firsts, self._starts
        if len(firsts) == 1:
            return 0, 1, self._lists[0], starts[0]
        first, end = max(bisect_left(firsts, low) - 1, 0), max(bisect_left(firsts, high), 1)
        if end < len(firsts) and starts[end - 1][-1] < high:
            end += 1
        if end - first == 1:
            return first, end, self._lists[first], starts[first]
        return first, end, [*chain(*self._lists[first:end])], [*chain(*starts[first:end])]

    def replace(self, first: int, end: int, descriptors: list[MemoryDescriptor], starts: list[int]) -> None:
        """Put what :meth:`around` returned back, as it is now."""
        if end - first == 1 and 0 < len(starts) < 4 * _LENGTH:
            chunks = self.chunks
            self.length += len(starts) - len(chunks[first])
            chunks[first] = tuple(descriptors)
            self._firsts[first] = starts[0]
            return
        self.length += len(starts) - sum(map(len, self.chunks[first:end]))
        self._put(first, end, descriptors, starts)

    def _put(self, first: int, end: int, descriptors: list[MemoryDescriptor], starts: list[int]) -> None:
        cuts = range(0, len(starts), _LENGTH)
        lists = [descriptors[at : at + _LENGTH] for at in cuts]
        if not lists and end - first == len(self.chunks):
            lists, cuts = [[]], range(1)  # nothing is left: one empty chunk
        self._lists[first:end] = lists
        self._starts[first:end] = [starts[at : at + _LENGTH] for at in cuts]
        self._firsts[first:end] = [starts[at] if starts else 0 for at in cuts]
        self.chunks[first:end] = map(tuple, lists)
