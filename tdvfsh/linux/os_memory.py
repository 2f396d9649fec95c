"""Linux's view of memory that is not accepted yet: the bitmap, the zones with their lists of blocks, the watermarks.

Source: Linux 6.12 drivers/firmware/efi/unaccepted_memory.c (accept_memory, range_contains_unaccepted_memory),
mm/page_alloc.c (__free_unaccepted, cond_accept_memory, __setup_per_zone_wmarks, calculate_min_free_kbytes),
mm/khugepaged.c (set_recommended_min_free_kbytes), arch/x86/mm/init.c (zone limits).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import GIB, KIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE, align_down, align_up

UNIT: Final = LARGE_PAGE_SIZE
MAX_ORDER_BLOCK: Final = 4 * MIB
_ZONES: Final = (("Normal", 4 * GIB, 1 << 64), ("DMA32", 16 * MIB, 4 * GIB), ("DMA", 0, 16 * MIB))
_SCALE: Final = 10  # watermark_scale_factor, in 1/10000 of a zone
_LEAST_MIN_FREE: Final = 128 * KIB
_MOST_MIN_FREE: Final = 256 * MIB
_THP_PAGES_PER_ZONE: Final = 512 * (2 + 3 * 3)  # pageblock_nr_pages, MIGRATE_PCPTYPES squared
FREE_AT_ONCE: Final = frozenset(
    {
        EfiMemoryType.EfiConventionalMemory,
        EfiMemoryType.EfiLoaderCode,
        EfiMemoryType.EfiLoaderData,
        EfiMemoryType.EfiUnacceptedMemoryType,
    }
)
"""Types that memblock allocates from."""
FREE_LATER: Final = frozenset({EfiMemoryType.EfiBootServicesCode, EfiMemoryType.EfiBootServicesData})
"""Types that the kernel keeps until it has called SetVirtualAddressMap."""

Ranges = list[tuple[int, int]]
"""``(start, end)`` in bytes, ascending and apart."""


def ranges_of(descriptors: Iterable[MemoryDescriptor], types: frozenset[EfiMemoryType]) -> Ranges:
    """The memory of some types, neighbours joined."""
    return joined((entry.physical_start, entry.physical_end) for entry in descriptors if entry.memory_type in types)


def without(ranges: Sequence[tuple[int, int]], holes: Iterable[tuple[int, int]]) -> Ranges:
    """What is left of ``ranges`` outside of ``holes``."""
    left: Ranges = []
    cuts = joined(holes)
    at = 0
    for start, end in ranges:
        while at < len(cuts) and cuts[at][1] <= start:
            at += 1
        cut = at
        while cut < len(cuts) and cuts[cut][0] < end:
            if start < cuts[cut][0]:
                left.append((start, cuts[cut][0]))
            start = max(start, cuts[cut][1])
            cut += 1
        if start < end:
            left.append((start, end))
    return left


def size_of(ranges: Iterable[tuple[int, int]]) -> int:
    """Bytes in total."""
    return sum(end - start for start, end in ranges)


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same bytes in ascending order, what overlaps or touches in one range."""
    merged: Ranges = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


class UnacceptedMemory:
    """The bitmap: which units of 2 MiB are not accepted.

    Args:
        runs: The set bits as byte ranges, ascending.
    """

    def __init__(self, runs: Iterable[tuple[int, int]]) -> None:
        self._runs: Ranges = list(runs)

    @property
    def size(self) -> int:
        """Bytes not accepted."""
        return size_of(self._runs)

    def accept(self, start: int, end: int) -> Ranges:
        """accept_memory(): every unit that the range touches, and the next one where the range ends with a unit.

        The next one is for load_unaligned_zeropad(), which may read across the end.

        Returns:
            What was not accepted before.
        """
        low, high = align_down(start, UNIT), align_up(end + 1, UNIT)
        new = [(max(low, first), min(high, last)) for first, last in self._runs if first < high and low < last]
        self._runs = without(self._runs, new)
        return new

    def accept_all(self) -> Ranges:
        """Every unit that is left."""
        runs, self._runs = self._runs, []
        return runs

    def blocks(self, free: Sequence[tuple[int, int]]) -> Ranges:
        """Where in free memory the whole blocks of 4 MiB lie that are, or whose next unit is, not wholly accepted."""
        found: Ranges = []
        for first, last in self._runs:
            low = align_down(first - UNIT, MAX_ORDER_BLOCK) if first >= UNIT else 0
            high = align_up(last, MAX_ORDER_BLOCK)
            for start, end in free:
                piece = max(low, align_up(start, MAX_ORDER_BLOCK)), min(high, align_down(end, MAX_ORDER_BLOCK))
                if piece[0] < piece[1]:
                    found.append(piece)
        return joined(found)


def pieces_below_a_block(free: Sequence[tuple[int, int]]) -> Ranges:
    """The ends of free ranges that are not a whole 4 MiB block: the page allocator has no list for them."""
    pieces: Ranges = []
    for start, end in free:
        low, high = align_up(start, MAX_ORDER_BLOCK), align_down(end, MAX_ORDER_BLOCK)
        if low >= high:
            pieces.append((start, end))
        else:
            pieces += [piece for piece in ((start, low), (high, end)) if piece[0] < piece[1]]
    return pieces


@dataclass(slots=True)
class Zone:
    """One zone: bytes that are free, the list of blocks to accept first, and the watermarks, in bytes."""

    name: str
    start: int
    end: int
    free: int = 0
    blocks: Ranges = field(default_factory=list)
    managed: int = 0
    low: int = 0
    promo: int = 0

    @property
    def block_bytes(self) -> int:
        """Bytes of the blocks that are still to be accepted."""
        return size_of(self.blocks)

    def take_blocks(self, count: int) -> Ranges:
        """Take up to that many blocks from the lowest on; they are free from then on."""
        taken: Ranges = []
        size = max(0, count) * MAX_ORDER_BLOCK
        while size > 0 and self.blocks:
            start, end = self.blocks.pop(0)
            middle = min(end, start + size)
            taken.append((start, middle))
            size -= middle - start
            if middle < end:
                self.blocks.insert(0, (middle, end))
        self.free += size_of(taken)
        return taken


def zones_of(usable: Sequence[tuple[int, int]], blocks: Sequence[tuple[int, int]]) -> list[Zone]:
    """The zones that have memory, highest first: the order in which an ordinary allocation tries them.

    Args:
        usable: Memory that the page allocator has, or will have, accepted or not.
        blocks: The part of it that is to be accepted before it is used, in whole blocks.
    """
    zones = [Zone(name, start, end) for name, start, end in _ZONES]
    for zone in zones:
        zone.managed = sum(end - start for start, end in _inside(zone, usable))
        zone.blocks = _inside(zone, blocks)
        zone.free = zone.managed - zone.block_bytes
    zones = [zone for zone in zones if zone.managed]
    _set_watermarks(zones)
    return zones


def _inside(zone: Zone, ranges: Iterable[tuple[int, int]]) -> Ranges:
    clipped = ((max(start, zone.start), min(end, zone.end)) for start, end in ranges)
    return [(start, end) for start, end in clipped if start < end]


def _set_watermarks(zones: Sequence[Zone]) -> None:
    total = sum(zone.managed for zone in zones)
    from math import isqrt

    by_size = min(max(isqrt(total // KIB * 16) * KIB, _LEAST_MIN_FREE), _MOST_MIN_FREE)
    for_huge_pages = min(_THP_PAGES_PER_ZONE * len(zones) * PAGE_SIZE, total // 20)
    for zone in zones:
        least = max(by_size, for_huge_pages) * zone.managed // total
        step = max(least // 4, zone.managed * _SCALE // 10_000)
        zone.low, zone.promo = least + step, least + 3 * step
