"""GetMemoryMap: gMemoryMap and the GCD put together into what an OS loader sees.

The result is not sorted as a whole: Reserved, runtime MMIO, Persistent and Unaccepted ranges follow after all RAM.

Source: UEFI 2.10 7.2; edk2 MdeModulePkg/Core/Dxe/Mem/Page.c (CoreGetMemoryMap, MergeMemoryMap); held by
tests/dxe/test_get_memory_map.py and the recordings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from tdvfsh.dxe.bins import RUNTIME_TYPES, Bins
from tdvfsh.dxe.gcd import GcdDescriptor, MemorySpaceMap
from tdvfsh.dxe.memory_map import CONVENTIONAL, MapEntry, MemoryMap
from tdvfsh.dxe.profile import FirmwareProfile
from tdvfsh.uefi.memory import (
    EFI_CACHE_ATTRIBUTE_MASK,
    EFI_MEMORY_ACCESS_MASK,
    EFI_MEMORY_NV,
    EFI_MEMORY_RUNTIME,
    EfiGcdMemoryType,
    EfiMemoryType,
    MemoryDescriptor,
)
from tdvfsh.units import PAGE_SHIFT

_CAPABILITY_MASK: Final = EFI_MEMORY_ACCESS_MASK | EFI_CACHE_ATTRIBUTE_MASK
_UNACCEPTED: Final = EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted


class MemoryMapView(NamedTuple):
    """``descriptors`` as reported, and how many the size check counts before equal neighbours are joined."""

    descriptors: tuple[MemoryDescriptor, ...]
    counted: int


def build_memory_map(memory_map: MemoryMap, bins: Bins, gcd: MemorySpaceMap, profile: FirmwareProfile) -> MemoryMapView:
    """Everything GetMemoryMap would report now, and the number of descriptors its size check counts."""
    joined: list[MemoryDescriptor] = []
    counted = len(memory_map)
    if profile.bin_slack_descriptors:
        counted += profile.bin_slack_descriptors * sum(1 for _ in bins.special())
    for entry in memory_map:
        for memory_type, start, end in _as_reported(entry, bins, profile):
            attribute = entry.attribute | (EFI_MEMORY_RUNTIME if memory_type in RUNTIME_TYPES else 0)
            _append(joined, memory_type, start, end, attribute)
    for space in gcd:
        reported = _gcd_as_reported(space)
        if reported is not None:
            if space.memory_type != _UNACCEPTED or profile.map_counts_unaccepted:
                counted += 1
            _append(joined, reported[0], space.start, space.end, reported[1])
    return MemoryMapView(tuple(joined), counted)


def _as_reported(entry: MapEntry, bins: Bins, profile: FirmwareProfile) -> Iterator[tuple[int, int, int]]:
    """``(type, start, end)`` pieces of one entry: free memory inside a special bin passes for the bin's type."""
    if entry.memory_type != CONVENTIONAL:
        yield entry.memory_type, entry.start, entry.end
        return
    start = entry.start
    for area in sorted(bins.special(), key=lambda area: area.start):
        low, high = max(start, area.start), min(entry.end, area.end)
        if low >= high or (not profile.bins_split_free and (area.start > entry.start or area.end < entry.end)):
            continue
        if start < low:
            yield CONVENTIONAL, start, low
        yield area.memory_type, low, high
        start = high
    if start < entry.end:
        yield CONVENTIONAL, start, entry.end


def _gcd_as_reported(space: GcdDescriptor) -> tuple[int, int] | None:
    """Memory type and attribute of a GCD range that the memory map shows, or None."""
    match space.memory_type:
        case EfiGcdMemoryType.EfiGcdMemoryTypeReserved:
            return EfiMemoryType.EfiReservedMemoryType, space.attributes
        case EfiGcdMemoryType.EfiGcdMemoryTypeMemoryMappedIo:
            if space.attributes & EFI_MEMORY_RUNTIME:
                return EfiMemoryType.EfiMemoryMappedIO, space.attributes
            return None
        case EfiGcdMemoryType.EfiGcdMemoryTypePersistent:
            return EfiMemoryType.EfiPersistentMemory, space.attributes | EFI_MEMORY_NV
        case EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted:
            return (
                EfiMemoryType.EfiUnacceptedMemoryType,
                space.attributes | (space.capabilities & _CAPABILITY_MASK),
            )
        case _:
            return None


def _append(joined: list[MemoryDescriptor], memory_type: int, start: int, end: int, attribute: int) -> None:
    attribute &= ~EFI_MEMORY_ACCESS_MASK
    pages = (end - start) >> PAGE_SHIFT
    if joined:
        last = joined[-1]
        if last.memory_type == memory_type and last.attribute == attribute and last.physical_end == start:
            joined[-1] = last._replace(number_of_pages=last.number_of_pages + pages)
            return
    joined.append(MemoryDescriptor(memory_type, start, pages, attribute))
