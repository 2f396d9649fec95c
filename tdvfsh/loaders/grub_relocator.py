"""GRUB's relocator on EFI: chunks of memory at chosen addresses, found in the memory map and taken by address.

A chunk is asked for by its alignment and limits and goes to the lowest or to the highest place. Free blocks of GRUB's
own heap serve as well as Conventional memory; the two are not joined into one chunk (recorded:
grub-2.06-bookworm-6.12-i137-1G, whose initrd ends where the heap begins).

Source: GRUB 2.06 grub-core/lib/relocator.c, grub-core/lib/efi/relocator.c.
"""

from __future__ import annotations

from typing import Final

from tdvfsh.dxe.boot_services import MemoryMapResult
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.loaders.grub_memory import Grub
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import PAGE_SIZE, align_down, align_up, pages_for

_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData


class Relocator:
    """Chunks of one boot.

    Args:
        flow: The boot.
        grub: Whose heap may be used.
    """

    def __init__(self, flow: BootFlow, grub: Grub) -> None:
        self._flow = flow
        self._grub = grub

    def lowest(self, what: str, size: int, alignment: int, minimum: int) -> int | None:
        """The lowest place at or above ``minimum`` that holds ``size`` bytes, taken; None where there is none."""
        fits = [
            (at, in_heap)
            for start, end, in_heap in self._sources()
            if (at := align_up(max(start, minimum), alignment)) + size <= end
        ]
        return self._take(what, size, min(fits, default=None))

    def highest(self, what: str, size: int, minimum: int, limit: int) -> int | None:
        """The highest page-aligned place in ``[minimum, limit)`` that holds ``size`` bytes, taken; or None."""
        fits = [
            (at, in_heap)
            for start, end, in_heap in self._sources()
            if (at := align_down(min(end, limit), PAGE_SIZE) - size) >= max(start, minimum)
        ]
        return self._take(what, size, max(fits, default=None))

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

    def _sources(self) -> list[tuple[int, int, bool]]:
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
