"""Linux's zones and watermarks, as far as they decide how much unaccepted memory the page allocator takes in.

Source: Linux 6.12 mm/page_alloc.c (cond_accept_memory, __setup_per_zone_wmarks, calculate_min_free_kbytes),
mm/khugepaged.c (set_recommended_min_free_kbytes), arch/x86/mm/init.c (zone limits).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Final

from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import GIB, KIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE, align_up

UNIT: Final = LARGE_PAGE_SIZE
MAX_ORDER_BLOCK: Final = 4 * MIB
_ZONES: Final = (("Normal", 4 * GIB, 1 << 64), ("DMA32", 16 * MIB, 4 * GIB), ("DMA", 0, 16 * MIB))
_SCALE: Final = 10  # watermark_scale_factor, in 1/10000 of a zone
_LEAST_MIN_FREE: Final = 128 * KIB
_MOST_MIN_FREE: Final = 256 * MIB
_THP_PAGES_PER_ZONE: Final = 512 * (2 + 3 * 3)  # pageblock_nr_pages, MIGRATE_PCPTYPES squared
_FREED_BY_LINUX: Final = frozenset(
    {
        EfiMemoryType.EfiConventionalMemory,
        EfiMemoryType.EfiLoaderCode,
        EfiMemoryType.EfiLoaderData,
        EfiMemoryType.EfiBootServicesCode,
        EfiMemoryType.EfiBootServicesData,
    }
)

Ranges = list[tuple[int, int]]


@dataclass(slots=True)
class Zone:
    """One zone: accepted bytes that are free, unaccepted ranges of whole units, and the watermarks, in bytes."""

    name: str
    start: int
    end: int
    free: int = 0
    unaccepted: Ranges = field(default_factory=list)
    managed: int = 0
    low: int = 0
    promo: int = 0

    @property
    def unaccepted_bytes(self) -> int:
        """Bytes not accepted yet."""
        return sum(end - start for start, end in self.unaccepted)

    def take_from_bottom(self, size: int) -> Ranges:
        """Take ``size`` bytes, whole units, off the lowest unaccepted ranges."""
        taken: Ranges = []
        while size > 0 and self.unaccepted:
            start, end = self.unaccepted.pop(0)
            middle = min(end, start + align_up(size, UNIT))
            taken.append((start, middle))
            size -= middle - start
            if middle < end:
                self.unaccepted.insert(0, (middle, end))
        return taken

    def take_from_top(self, size: int) -> Ranges:
        """Take ``size`` bytes, whole units, off the highest unaccepted ranges."""
        taken: Ranges = []
        while size > 0 and self.unaccepted:
            start, end = self.unaccepted.pop()
            middle = max(start, end - align_up(size, UNIT))
            taken.append((middle, end))
            size -= end - middle
            if start < middle:
                self.unaccepted.append((start, middle))
        return taken


def zones_of(descriptors: Iterable[MemoryDescriptor], unaccepted: Sequence[tuple[int, int]]) -> list[Zone]:
    """The zones that have memory, highest first: the order in which an ordinary allocation tries them."""
    zones = [Zone(name, start, end) for name, start, end in _ZONES]
    usable = [entry for entry in descriptors if entry.memory_type in _FREED_BY_LINUX]
    for zone in zones:
        zone.free = sum(_inside(zone, entry.physical_start, entry.physical_end) for entry in usable)
        zone.unaccepted = [
            (max(start, zone.start), min(end, zone.end)) for start, end in unaccepted if _inside(zone, start, end)
        ]
        zone.managed = zone.free + zone.unaccepted_bytes
    zones = [zone for zone in zones if zone.managed]
    _set_watermarks(zones)
    return zones


def _inside(zone: Zone, start: int, end: int) -> int:
    return max(0, min(end, zone.end) - max(start, zone.start))


def _set_watermarks(zones: Sequence[Zone]) -> None:
    total = sum(zone.managed for zone in zones)
    by_size = min(max(isqrt(total // KIB * 16) * KIB, _LEAST_MIN_FREE), _MOST_MIN_FREE)
    for_huge_pages = min(_THP_PAGES_PER_ZONE * len(zones) * PAGE_SIZE, total // 20)
    for zone in zones:
        least = max(by_size, for_huge_pages) * zone.managed // total
        step = max(least // 4, zone.managed * _SCALE // 10_000)
        zone.low, zone.promo = least + step, least + 3 * step
