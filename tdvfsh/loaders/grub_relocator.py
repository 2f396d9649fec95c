"""GRUB's relocator on EFI: chunks of memory at chosen addresses, found in the memory map and taken by address.

A chunk is asked for by its alignment and limits and goes to the lowest or to the highest place. Free blocks of GRUB's
own heap serve like Conventional memory; the two are not joined into one chunk (recorded:
grub-2.06-bookworm-6.12-i137-1G, whose initrd ends where the heap begins).

Source: GRUB 2.06 grub-core/lib/relocator.c, grub-core/lib/efi/relocator.c.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.dxe.memory_services import MemoryMapResult
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.loaders.grub_memory import HEAP_MINIMUM_ADDRESS, Grub
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import PAGE_SIZE, align_down, align_up, pages_for

_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_AVAILABLE: Final = frozenset(
    {EfiMemoryType.EfiLoaderCode, EfiMemoryType.EfiLoaderData, EfiMemoryType.EfiConventionalMemory}
)
_CHUNKS: Final = frozenset({"kernel", "initrd"})

_Piece = tuple[int, int, bool]
"""``(start, end, in GRUB's heap)``."""

_Fit = Callable[[list[_Piece], int, int, int], tuple[int, bool] | None]
"""Where in the pieces a chunk goes, by alignment, minimum and limit."""


class Relocator:
    """Chunks of one boot.

    Args:
        flow: The boot.
        grub: Whose heap may be used.
    """

    def __init__(self, flow: BootFlow, grub: Grub) -> None:
        self._flow = flow
        self._grub = grub

    def lowest(self, what: str, size: int, alignment: int, minimum: int, limit: int) -> int | None:
        """A chunk at the lowest aligned place in ``[minimum, limit)``; its address, or None where there is none."""

        def lowest_fit(pieces: list[_Piece], alignment: int, minimum: int, limit: int) -> tuple[int, bool] | None:
            fits = [
                (at, in_heap)
                for start, end, in_heap in pieces
                if (at := align_up(max(start, minimum), alignment)) + size <= min(end, limit)
            ]
            return min(fits, default=None)

        return self._chunk(what, size, alignment, minimum, limit, lowest_fit)

    def highest(self, what: str, size: int, minimum: int, limit: int) -> int | None:
        """A chunk at the highest page-aligned place in ``[minimum, limit)``; its address, or None."""

        def highest_fit(pieces: list[_Piece], alignment: int, minimum: int, limit: int) -> tuple[int, bool] | None:
            fits = [
                (at, in_heap)
                for start, end, in_heap in pieces
                if (at := align_down(min(end, limit), alignment) - size) >= max(start, minimum)
            ]
            return max(fits, default=None)

        return self._chunk(what, size, PAGE_SIZE, minimum, limit, highest_fit)

    def _chunk(self, what: str, size: int, alignment: int, minimum: int, limit: int, fit: _Fit) -> int | None:
        """grub_relocator_alloc_chunk_align: memory at its final place, else memory to copy from when the boot comes.

        Where there is memory to copy from but no final place, the memory is lost: GRUB 2.06 to master.
        """
        if limit - minimum >= size:
            place = fit(self._sources(), alignment, minimum, limit)
            if place is not None:
                return self._take(what, size, place)
        source = fit(self._sources(), PAGE_SIZE, HEAP_MINIMUM_ADDRESS, self._grub.limit + 1)
        if source is None or self._take(f"{what}_source", size, source) is None:
            return None
        target = fit(self._targets(self.read_map()), alignment, minimum, limit)
        if target is None:
            return None
        self._flow.place(what, target[0], size, _LOADER_DATA)
        return target[0]

    def _targets(self, memory_map: MemoryMapResult) -> list[_Piece]:
        """What is free once GRUB is gone: its own memory too, but not boot services', nor another chunk's place."""
        taken = sorted((entry.start, entry.end) for entry in self._flow.placements if entry.what in _CHUNKS)
        pieces: list[_Piece] = []
        for entry in memory_map.descriptors:
            if entry.memory_type not in _AVAILABLE:
                continue
            low = entry.physical_start
            for start, end in taken:
                if low < end and start < entry.physical_end:
                    pieces.append((low, start, False))
                    low = end
            pieces.append((low, entry.physical_end, False))
        joined: list[_Piece] = []
        for start, end, _ in sorted(pieces):
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], end, False)
            elif start < end:
                joined.append((start, end, False))
        return joined

    def at(self, what: str, size: int, address: int) -> int | None:
        """``size`` bytes at ``address``, taken; or None."""
        fits = [(address, in_heap) for start, end, in_heap in self._sources() if start <= address <= end - size]
        return self._take(what, size, min(fits, default=None))

    def read_map(self) -> MemoryMapResult:
        """grub_efi_mmap_iterate: the size, then the map, into a buffer from the heap."""
        services = self._flow.services
        needed = services.get_memory_map(0, has_buffer=False).memory_map_size or 0
        return services.get_memory_map(needed)

    def look_in_heap(self) -> None:
        """A small chunk that GRUB's heap has: the map is read, nothing is asked for."""
        self._sources()

    def _sources(self) -> list[_Piece]:
        """``(start, end, in heap)``: counting the events reads the size once, filling them once more."""
        self._flow.services.get_memory_map(0, has_buffer=False)
        sources = [(start, end, False) for start, end in self._grub.usable_pieces(self.read_map())]
        if self._grub.heap is not None:
            start, end = self._grub.heap
            sources.append((start + PAGE_SIZE, end - self._grub.heap_in_use, True))
        return sources

    def _take(self, what: str, size: int, place: tuple[int, bool] | None) -> int | None:
        if place is None:
            return None
        at, in_heap = place
        if not in_heap:
            status, at = self._flow.services.allocate_pages(
                EfiAllocateType.AllocateAddress, _LOADER_DATA, pages_for(size), at
            )
            if status is not SUCCESS:
                return None
        self._flow.place(what, at, size, _LOADER_DATA)
        return at
