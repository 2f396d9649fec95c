"""GetMemoryMap: gMemoryMap and the GCD put together into what an OS loader sees.

The result is not sorted as a whole: Reserved, runtime MMIO, Persistent and Unaccepted ranges follow after all RAM.

Source: UEFI 2.10 7.2; edk2 MdeModulePkg/Core/Dxe/Mem/Page.c (CoreGetMemoryMap, MergeMemoryMap); held by
tests/dxe/memory/test_get_memory_map.py and the recordings.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from tdvfsh.dxe.memory.bins import RUNTIME_TYPES, Bin, Bins
from tdvfsh.dxe.memory.gcd import GcdDescriptor, MemorySpaceMap
from tdvfsh.dxe.memory.memory_map import CONVENTIONAL, MemoryMap
from tdvfsh.dxe.profile import FirmwareProfile
from tdvfsh.lazy_typing import Final, NamedTuple
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
_REPORTED: Final = ~EFI_MEMORY_ACCESS_MASK
_RUNTIME_ATTRIBUTE: Final = dict.fromkeys(map(int, RUNTIME_TYPES), EFI_MEMORY_RUNTIME)

_new: Final = tuple.__new__  # of a MemoryDescriptor: what its constructor does, in half the time

Piece = tuple[int, int, int, int]
"""Memory type, start, end, attribute."""


class MemoryMapView(NamedTuple):
    """``descriptors`` as reported, and how many the size check counts before equal neighbours are joined."""

    descriptors: Sequence[MemoryDescriptor]
    counted: int


def build_memory_map(memory_map: MemoryMap, bins: Bins, gcd: MemorySpaceMap, profile: FirmwareProfile) -> MemoryMapView:
    """Everything GetMemoryMap would report now, and the number of descriptors its size check counts."""
    from_gcd, counted = gcd_pieces(gcd, profile)
    counted += len(memory_map) + profile.bin_slack_descriptors * len(bins.special)
    return MemoryMapView(tuple(joined(ram_pieces(memory_map, bins.special, profile) + from_gcd)), counted)


def ram_pieces(
    entries: Iterable[tuple[int, int, int, int]], special: Sequence[Bin], profile: FirmwareProfile
) -> list[Piece]:
    """What is reported of some descriptors of gMemoryMap."""
    runtime = _RUNTIME_ATTRIBUTE.get
    pieces: list[Piece] = []
    append = pieces.append
    lowest, highest = (special[0].start, special[-1].end) if special else (0, 0)
    for start, end, memory_type, attribute in entries:
        if start < highest and end > lowest and memory_type == CONVENTIONAL:
            pieces += _free_as_reported(start, end, attribute, special, profile)
        else:
            append((memory_type, start, end, attribute | runtime(memory_type, 0)))
    return pieces


def ram_descriptors(
    entries: list[tuple[int, int, int, int]], special: Sequence[Bin], profile: FirmwareProfile
) -> list[MemoryDescriptor]:
    """What :func:`joined` makes of :func:`ram_pieces`, in one pass over a whole map, whose list is changed."""
    if special:
        first = max(bisect_left(entries, (special[0].start,)) - 1, 0)
        end = bisect_left(entries, (special[-1].end,))
        in_bins = ram_pieces(entries[first:end], special, profile)
        entries[first:end] = [(start, end, memory_type, attribute) for memory_type, start, end, attribute in in_bins]
    runtime = _RUNTIME_ATTRIBUTE.get
    descriptors: list[MemoryDescriptor] = []
    append = descriptors.append
    memory_type = start = end = attribute = -1
    for next_start, next_end, next_type, next_attribute in entries:
        next_attribute = (next_attribute | runtime(next_type, 0)) & _REPORTED
        if next_start == end and next_type == memory_type and next_attribute == attribute:
            end = next_end
            continue
        if end >= 0:
            append(_new(MemoryDescriptor, (memory_type, start, (end - start) >> PAGE_SHIFT, attribute, 0)))
        memory_type, start, end, attribute = next_type, next_start, next_end, next_attribute
    if end >= 0:
        append(_new(MemoryDescriptor, (memory_type, start, (end - start) >> PAGE_SHIFT, attribute, 0)))
    return descriptors


def gcd_pieces(gcd: MemorySpaceMap, profile: FirmwareProfile) -> tuple[list[Piece], int]:
    """What is reported of the GCD map, and how many of it the size check counts."""
    pieces: list[Piece] = []
    counted = 0
    for space in gcd:
        reported = _gcd_as_reported(space)
        if reported is not None:
            if space.memory_type != _UNACCEPTED or profile.map_counts_unaccepted:
                counted += 1
            pieces.append((reported[0], space.start, space.end, reported[1]))
    return pieces, counted


def _free_as_reported(
    start: int, end: int, attribute: int, special: Sequence[Bin], profile: FirmwareProfile
) -> Iterator[Piece]:
    """Pieces of one free range: what lies inside a special bin passes for the bin's type."""
    at = start
    for area in special:
        low, high = max(at, area.start), min(end, area.end)
        if low >= high or (not profile.bins_split_free and (area.start > start or area.end < end)):
            continue
        if at < low:
            yield CONVENTIONAL, at, low, attribute
        yield area.memory_type, low, high, attribute | _RUNTIME_ATTRIBUTE.get(area.memory_type, 0)
        at = high
    if at < end:
        yield CONVENTIONAL, at, end, attribute


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


def joined(pieces: Sequence[Piece]) -> list[MemoryDescriptor]:
    """Descriptors without access capabilities; neighbours that then differ in nothing else are one."""
    descriptors: list[MemoryDescriptor] = []
    memory_type = start = end = attribute = -1
    for next_type, next_start, next_end, next_attribute in pieces:
        next_attribute &= _REPORTED
        if next_start == end and next_type == memory_type and next_attribute == attribute:
            end = next_end
            continue
        if end >= 0:
            descriptors.append(_new(MemoryDescriptor, (memory_type, start, (end - start) >> PAGE_SHIFT, attribute, 0)))
        memory_type, start, end, attribute = next_type, next_start, next_end, next_attribute
    if end >= 0:
        descriptors.append(_new(MemoryDescriptor, (memory_type, start, (end - start) >> PAGE_SHIFT, attribute, 0)))
    return descriptors
