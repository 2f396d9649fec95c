"""gMemoryMap: the DXE core's list of memory descriptors, and the one operation that changes it.

Source: edk2 MdeModulePkg/Core/Dxe/Mem/Page.c (CoreAddRange, CoreConvertPagesEx).

Addresses are bytes and ranges half-open. The list stays sorted, in chunks (:mod:`tdvfsh.dxe.memory.sorted_starts`);
looking a range up costs a bisection, finding free memory a walk over the free ranges of those chunks that may hold it,
whatever the amount of RAM.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator

from tdvfsh.dxe.memory.descriptor_pages import DescriptorPages
from tdvfsh.dxe.memory.sorted_starts import FreeStarts, SortedStarts
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import EFI_MEMORY_SP, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE

CONVENTIONAL: Final = int(EfiMemoryType.EfiConventionalMemory)
_ADDRESS_MASK: Final = (1 << 64) - 1
_PAGE_MASK: Final = PAGE_SIZE - 1
_new: Final = tuple.__new__  # of a MapEntry: what its constructor does, in half the time


class MapEntry(NamedTuple):
    """One descriptor of gMemoryMap: ``[start, end)`` in bytes."""

    start: int
    end: int
    memory_type: int
    attribute: int


class MemoryMap:
    """The sorted descriptor list with its map key.

    ``key`` rises by one for every range that is added, as firmware's mMemoryMapKey does, and never otherwise.
    ``take_descriptor_page`` is called when the core needs a page for descriptors of its own. ``changes``, where a
    reader has set it, is widened to ``[low, high]`` around every descriptor that was or is in the map and has changed
    since.
    """

    __slots__ = (
        "_free",
        "_ranges",
        "_starts",
        "changes",
        "descriptor_pages",
        "key",
        "take_descriptor_page",
    )

    def __init__(self, entries: Iterable[MapEntry] = ()) -> None:
        self._ranges: dict[int, tuple[int, int, int]] = {}
        self.key = 0
        self.descriptor_pages = DescriptorPages()
        self.take_descriptor_page: Callable[[], None] | None = None
        self.changes: list[int] | None = None
        self._begin(entries)
        self._starts = SortedStarts(self._ranges)
        self._free = FreeStarts(start for start, known in self._ranges.items() if known[1] == CONVENTIONAL)

    def _begin(self, entries: Iterable[MapEntry]) -> None:
        """What :meth:`add_range` makes of each entry in turn, in one pass: they do not overlap."""
        ranges = self._ranges
        first, last = -1, (-1, -1, -1)
        for start, end, memory_type, attribute in sorted(entries):
            self.key += 1
            if (start, memory_type, attribute) != last:
                first = start
            ranges[first] = (end, memory_type, attribute)
            last = (end, memory_type, attribute)

    def copy(self) -> MemoryMap:
        """An independent copy; its ``take_descriptor_page`` must be set anew."""
        twin = object.__new__(MemoryMap)
        twin.take_descriptor_page = twin.changes = None
        twin._ranges = self._ranges.copy()
        twin._starts = self._starts.copy()
        twin._free = self._free.copy()
        twin.key = self.key
        twin.descriptor_pages = self.descriptor_pages.copy()
        return twin

    def assume(self, other: MemoryMap) -> None:
        """Be in the state of ``other``, which stays as it is; a reader then takes this for a map it has not read."""
        self._ranges = other._ranges.copy()
        self._starts = other._starts.copy()
        self._free = other._free.copy()
        self.key = other.key
        self.descriptor_pages = other.descriptor_pages.copy()
        self.changes = None

    def __eq__(self, other: object) -> bool:
        """Whether another map is in the same state; its readers and callbacks do not count."""
        if not isinstance(other, MemoryMap):
            return NotImplemented
        return (self.key, self._ranges, self.descriptor_pages) == (other.key, other._ranges, other.descriptor_pages)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._ranges)

    def __iter__(self) -> Iterator[MapEntry]:
        ranges = self._ranges
        for start in self._starts:
            yield _new(MapEntry, (start, *ranges[start]))

    def between(self, low: int, high: int) -> list[tuple[int, int, int, int]]:
        """The descriptors that start in ``[low, high)``, ascending, as ``(start, end, type, attribute)``."""
        ranges, found = self._ranges, []
        for start in self._starts.between(low, high):  # quicker than a comprehension
            end, memory_type, attribute = ranges[start]
            found.append((start, end, memory_type, attribute))
        return found

    def find(self, address: int) -> MapEntry | None:
        """The descriptor that holds ``address``, or None."""
        start = self._starts.at_or_below(address)
        if start is None:
            return None
        end, memory_type, attribute = self._ranges[start]
        return MapEntry(start, end, memory_type, attribute) if address < end else None

    def type_at(self, address: int) -> int | None:
        """The memory type of the descriptor that holds ``address``, or None."""
        start = self._starts.at_or_below(address)
        if start is None:
            return None
        end, memory_type, _ = self._ranges[start]
        return memory_type if address < end else None

    @property
    def free_starts(self) -> tuple[int, ...]:
        """Where Conventional ranges start, lowest first."""
        return tuple(self._free)

    def free_ranges(self) -> Iterator[tuple[int, int]]:
        """Conventional ranges, lowest first, as ``(start, end)``."""
        ranges = self._ranges
        for start in self._free:
            yield start, ranges[start][0]

    def add_range(self, memory_type: int, start: int, end: int, attribute: int) -> None:
        """CoreAddRange: put ``[start, end)`` into the map, joined with equal neighbours; the key rises by one."""
        self.key += 1
        ranges = self._ranges
        before = self._starts.at_or_below(start)
        if before is not None:
            known_end, known_type, known_attribute = ranges[before]
            if known_end == start and known_type == memory_type and known_attribute == attribute:
                self._remove(before)
                start = before
        if end in ranges:
            known_end, known_type, known_attribute = ranges[end]
            if known_type == memory_type and known_attribute == attribute:
                self._remove(end)
                end = known_end
        self._insert(start, end, memory_type, attribute)
        self.descriptor_pages.push(start)

    def convert_pages(self, start: int, pages: int, new_type: int) -> EfiStatus:
        """CoreConvertPages: allocate (``new_type`` other than Conventional) or free a range of whole pages.

        An allocation must lie inside one Conventional descriptor. Freeing may span several, each in use; it goes piece
        by piece, so what was freed before an error stays freed (all firmware; tests/dxe/memory/test_memory_map.py).

        Returns:
            EFI_INVALID_PARAMETER: No pages, a start off the page, or an end that wraps.
            EFI_NOT_FOUND: Some of the range is not there, or is not in the state that the change needs.
        """
        end = ((start + (pages << PAGE_SHIFT) - 1) & _ADDRESS_MASK) + 1
        if pages == 0 or start & _PAGE_MASK or start >= end - 1:
            return EfiStatus.EFI_INVALID_PARAMETER
        freeing = new_type == CONVENTIONAL
        ranges, starts = self._ranges, self._starts
        while start < end:
            which = bisect_right(starts.floors, start) - 1
            chunk = starts.chunks[which]
            index = bisect_right(chunk, start) - 1
            if index < 0:
                if which == 0:
                    return EfiStatus.EFI_NOT_FOUND
                which -= 1
                chunk = starts.chunks[which]
                index = len(chunk) - 1
            entry_end, memory_type, _ = ranges[chunk[index]]
            if start >= entry_end or (memory_type == CONVENTIONAL) == freeing:
                return EfiStatus.EFI_NOT_FOUND
            if entry_end < end:
                if not freeing:
                    return EfiStatus.EFI_NOT_FOUND
                self._convert_piece(which, index, start, entry_end, new_type)
                start = entry_end
            else:
                self._convert_piece(which, index, start, end, new_type)
                start = end
        return SUCCESS

    def convert_free(self, start: int, pages: int, new_type: int) -> None:
        """:meth:`convert_pages` of an allocation for which :meth:`find_free_pages` has just found the place."""
        chunks = self._starts.chunks
        end = start + (pages << PAGE_SHIFT)
        if len(chunks) > 1:
            which = bisect_right(self._starts.floors, start) - 1
            index = bisect_right(chunks[which], start) - 1
            if index < 0:
                which -= 1
                index = len(chunks[which]) - 1
            self._convert_piece(which, index, start, end, new_type)
            return
        starts = chunks[0]
        index = bisect_right(starts, start)
        below = starts[index - 1]
        if self._ranges[below][0] == end and below != start and not self.descriptor_pages.emptying:
            self._convert_top(index, start, end, new_type)
        else:
            self._convert_piece(0, index - 1, start, end, new_type)

    def _convert_top(self, index: int, start: int, end: int, new_type: int) -> None:
        """:meth:`_convert_piece` of the upper end of a free range, which is what an allocation nearly always takes.

        ``index`` is that of the descriptor after the free one, in the only chunk.
        """
        ranges, starts = self._ranges, self._starts.chunks[0]
        below = starts[index - 1]
        _, memory_type, attribute = ranges[below]
        self.key += 1
        ranges[below] = (start, memory_type, attribute)
        after = ranges.get(end)
        new_end, given = end, 0
        if after is not None and after[1] == new_type and after[2] == attribute:
            del ranges[end]
            new_end, given = after[0], 1
            starts[index] = start
        else:
            starts.insert(index, start)
            if len(starts) > self._starts.limit:
                self._starts.split(0)
        ranges[start] = (new_end, new_type, attribute)
        if self.changes is not None:
            self._note(below, new_end)
        if self.descriptor_pages.spare is not None:
            self.descriptor_pages.exchange(given, (start,), self.take_descriptor_page)

    def _convert_piece(self, which: int, index: int, start: int, end: int, new_type: int) -> None:
        """Set the type of ``[start, end)`` of the descriptor at ``index`` of a chunk, join neighbours, and settle.

        All in one step, unless the map stack is being emptied right now, or the descriptor's neighbour stands in
        another chunk.
        """
        ranges, free, chunks = self._ranges, self._free, self._starts.chunks
        starts = chunks[which]
        entry_start = starts[index]
        entry_end, memory_type, attribute = ranges[entry_start]
        if (
            self.descriptor_pages.emptying
            or (index == 0 < which)
            or (index == len(starts) - 1 and which < len(chunks) - 1)
        ):
            self._cut(MapEntry(entry_start, entry_end, memory_type, attribute), start, end)
            self.add_range(new_type, start, end, attribute)
            self.descriptor_pages.settle(self.take_descriptor_page)
            return
        self.key += 1
        drawn, given = 1, 0  # descriptors from and to the free list
        low, high = index, index + 1
        new_start, new_end = start, end
        if start == entry_start:
            if index:
                before = starts[index - 1]
                known_end, known_type, known_attribute = ranges[before]
                if known_end == start and known_type == new_type and known_attribute == attribute:
                    low, new_start, given = index - 1, before, given + 1
            if end == entry_end:
                given += 1
            del ranges[entry_start]
        else:
            ranges[entry_start] = (start, memory_type, attribute)
            low = high
        if end == entry_end:
            if high < len(starts):
                after = starts[high]
                known_end, known_type, known_attribute = ranges[after]
                if after == end and known_type == new_type and known_attribute == attribute:
                    new_end = known_end
                    high += 1
                    given += 1
                    del ranges[after]
                    if new_type == CONVENTIONAL:
                        free.remove(after)
            starts[low:high] = (new_start,)
        else:
            ranges[end] = (entry_end, memory_type, attribute)
            starts[low:high] = (new_start, end)
            if start != entry_start:
                drawn = 2
        ranges[new_start] = (new_end, new_type, attribute)
        if len(starts) > self._starts.limit:
            self._starts.split(which)
        if new_type == CONVENTIONAL:
            if new_start == start:
                free.add_range(start, new_end - start)
            else:
                free.grow(new_start, new_end - new_start)
        elif start == entry_start:
            if end == entry_end:
                free.remove(start)
            else:
                free.move(start, end)
        elif end != entry_end:
            free.add_range(end, entry_end - end)
        if self.changes is not None:
            self._note(
                entry_start if entry_start < new_start else new_start, entry_end if entry_end > new_end else new_end
            )
        if self.descriptor_pages.spare is not None:
            self.descriptor_pages.exchange(given, (end, new_start)[2 - drawn :], self.take_descriptor_page)

    def find_free_pages(self, maximum: int, minimum: int, pages: int, alignment: int = PAGE_SIZE) -> int:
        """CoreFindFreePagesI: where ``pages`` fit, at the top of the highest Conventional range inside the limits.

        Args:
            maximum: Last byte that may be used; one that is not the last of a page is lowered by a page.
            minimum: First byte that may be used.
            pages: Pages wanted; the byte count wraps at 64 bits as firmware's does.
            alignment: Bytes, a power of two.

        Returns:
            The start address, or 0 where nothing fits (so page 0 is never found).
        """
        if maximum < _PAGE_MASK or pages == 0:
            return 0
        if maximum & _PAGE_MASK != _PAGE_MASK:
            maximum = ((maximum - PAGE_SIZE) & ~_PAGE_MASK) | _PAGE_MASK
        size = (pages << PAGE_SHIFT) & _ADDRESS_MASK
        limit = maximum + 1
        ranges, free = self._ranges, self._free
        chunks, largest = free.chunks, free.largest
        if len(chunks) == 1 and alignment == PAGE_SIZE:
            starts = chunks[0]
            if minimum:
                starts = starts[max(bisect_right(starts, minimum) - 1, 0) : bisect_left(starts, maximum)]
            elif starts and starts[-1] >= maximum:
                starts = starts[: bisect_left(starts, maximum)]
            for start in reversed(starts):
                end, _, attribute = ranges[start]
                if end - start < size:  # most of them, where firmware has left many holes
                    continue
                top = (end if end < limit else limit) & ~_PAGE_MASK
                if top - start >= size and top - size >= minimum and top > start and not attribute & EFI_MEMORY_SP:
                    return top - size
            return 0
        which = bisect_left(free.floors, maximum) - 1
        place = bisect_left(chunks[which], maximum)
        lowest = max(bisect_right(free.floors, minimum) - 2, 0)  # the last of a chunk may reach past the next floor
        while which >= lowest:
            chunk = chunks[which]
            if size <= largest[which]:
                first = max(bisect_right(chunk, minimum) - 1, 0) if minimum else 0
                whole = first == 0 and place == len(chunk)
                for start in reversed(chunk if whole else chunk[first:place]):
                    end, _, attribute = ranges[start]
                    if end - start < size or attribute & EFI_MEMORY_SP:
                        continue
                    top = min(end, limit) & ~(alignment - 1)
                    if top - start >= size and top - size >= minimum and top > start:
                        return (top - size) & _ADDRESS_MASK
                if whole and len(chunks) > 1:
                    largest[which] = max([ranges[start][0] - start for start in chunk])
            which = free.last_that_may_hold(size, lowest, which)
            place = len(chunks[which])
        return 0

    def _cut(self, entry: MapEntry, start: int, end: int) -> None:
        """Take ``[start, end)`` out of ``entry``, leaving its head and tail as descriptors of their own."""
        if entry.start == start and entry.end == end:
            self._remove(entry.start)
        elif entry.start == start:
            self._drop(entry.start)
            self._insert(end, entry.end, entry.memory_type, entry.attribute)
            self.descriptor_pages.move(entry.start, end)
        else:
            self._ranges[entry.start] = (start, entry.memory_type, entry.attribute)
            if self.changes is not None:
                self._note(entry.start, entry.end)
            if entry.end != end:
                self._insert(end, entry.end, entry.memory_type, entry.attribute)
                self.descriptor_pages.push(end)

    def _insert(self, start: int, end: int, memory_type: int, attribute: int) -> None:
        self._ranges[start] = (end, memory_type, attribute)
        self._starts.add(start)
        if memory_type == CONVENTIONAL:
            self._free.add_range(start, end - start)
        if self.changes is not None:
            self._note(start, end)

    def _drop(self, start: int) -> None:
        end, memory_type, _ = self._ranges.pop(start)
        self._starts.remove(start)
        if memory_type == CONVENTIONAL:
            self._free.remove(start)
        if self.changes is not None:
            self._note(start, end)

    def _note(self, low: int, high: int) -> None:
        changes = self.changes
        if changes is not None:
            if low < changes[0]:
                changes[0] = low
            if high > changes[1]:
                changes[1] = high

    def _remove(self, start: int) -> None:
        """RemoveMemoryMapEntry."""
        self.descriptor_pages.give_back(start)
        self._drop(start)
