"""A DXE core from a memory map that real firmware printed.

GetMemoryMap hides three things: which pages inside a bin are free, where access capabilities keep equal neighbours
apart, and which Reserved and MMIO ranges are RAM. The first two are looked up in the recorded firmware whose layout the
map has; a bin of unknown firmware counts as full. The third shows in the attributes.

Source: edk2 MdeModulePkg/Core/Dxe/Mem/Page.c (CoreGetMemoryMap), read backwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product

from tdvfsh.dxe.core import DxeCore, start_core
from tdvfsh.dxe.memory.bins import RUNTIME_TYPES, Bins
from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.dxe.memory.known_bins import find_bins
from tdvfsh.dxe.memory.memory_attributes_table import MemoryAttributesTable
from tdvfsh.dxe.memory.memory_map import CONVENTIONAL, MapEntry
from tdvfsh.dxe.memory.pool import BLOCK_SIZES, POOL_HEAD_SIZE
from tdvfsh.dxe.profile import FirmwareProfile
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.footprint import (
    BOOT_LOADER,
    FIRMWARE_MODEL_NAMES,
    FirmwareModel,
    FirmwareStage,
    Piece,
    firmware_model,
)
from tdvfsh.uefi.memory import (
    EFI_MEMORY_RUNTIME,
    EFI_MEMORY_WB,
    EfiGcdMemoryType,
    EfiMemoryType,
    MemoryDescriptor,
)

_FOUR_GIB: Final = 1 << 32
_LEAST_WIDTH: Final = 48
_LEAST_IN_COMMON: Final = 0.25  # of a recorded layout's pieces, before a map counts as that firmware's
_GCD_TYPES: Final[dict[int, EfiGcdMemoryType]] = {
    EfiMemoryType.EfiReservedMemoryType: EfiGcdMemoryType.EfiGcdMemoryTypeReserved,
    EfiMemoryType.EfiMemoryMappedIO: EfiGcdMemoryType.EfiGcdMemoryTypeMemoryMappedIo,
    EfiMemoryType.EfiMemoryMappedIOPortSpace: EfiGcdMemoryType.EfiGcdMemoryTypeMemoryMappedIo,
    EfiMemoryType.EfiPersistentMemory: EfiGcdMemoryType.EfiGcdMemoryTypePersistent,
    EfiMemoryType.EfiUnacceptedMemoryType: EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted,
}
_NEVER_RAM: Final = frozenset({EfiMemoryType.EfiPersistentMemory, EfiMemoryType.EfiUnacceptedMemoryType})


class RecognisedFirmware(NamedTuple):
    """A recorded firmware, its stage and the top of low RAM that a map has."""

    model: FirmwareModel
    stage: FirmwareStage
    low_top: int


def core_from_descriptors(
    descriptors: Sequence[MemoryDescriptor],
    profile: FirmwareProfile,
    bins: Bins | None = None,
    free_in_bins: Mapping[int, Sequence[tuple[int, int]]] | None = None,
) -> DxeCore:
    """A core whose GetMemoryMap answers ``descriptors``.

    It is taken for that of a firmware that has signalled ReadyToBoot. Its map descriptors come from whole pages, as the
    DXE core's do, so how many it can still draw follows from how many there are: none where their count fills
    its pages. (There may be a page more, where there were more descriptors once.)

    Args:
        descriptors: A map as printed, in its order.
        profile: The firmware generation's rules.
        bins: The memory type bins; None has them found in the map.
        free_in_bins: By bin type, the free ``[start, end)`` ranges inside that bin; they go before what is recorded of
            known firmware.
    """
    ram, outside = split_ram(descriptors)
    bins = find_bins(ram) if bins is None else bins
    firmware = recognise(ram)
    pieces: list[Piece] = []
    free: dict[int, Sequence[tuple[int, int]]] = {}
    if firmware is not None:
        pieces = firmware.stage.layout(firmware.low_top)
        free = _recorded_free(firmware, bins)
    free |= free_in_bins or {}
    entries = [entry for descriptor in ram for entry in _entries(descriptor, bins, pieces, free)]
    gcd = _memory_space(ram, outside)
    core = start_core(profile, entries, bins, gcd)
    per_page = core.memory_map.descriptor_pages.per_page
    core.memory_map.descriptor_pages.spare = -len(entries) % per_page
    _adopt_attributes_table(core)
    return core


def hidden_pool_page(core: DxeCore) -> int:
    """A page that firmware's BootServicesData pool may well hold: one of the largest such block, or 0."""
    blocks = [entry for entry in core.memory_map if entry.memory_type == EfiMemoryType.EfiBootServicesData]
    return max(blocks, key=lambda entry: entry.end - entry.start).start if blocks else 0


def _adopt_attributes_table(core: DxeCore) -> None:
    """Firmware that runs a program has built the Memory Attributes Table already; its old place is not known."""
    page = hidden_pool_page(core)
    if page:
        profile = core.profile
        spare = profile.runtime_images * profile.descriptors_per_runtime_image
        table = MemoryAttributesTable(spare, profile.runtime_split_entries)
        table.table = page + BLOCK_SIZES[0] + POOL_HEAD_SIZE
        core.pool.adopt_buffer(EfiMemoryType.EfiBootServicesData, table.table, table.table_size(core))
        core.memory_attributes_table = table


def split_ram(descriptors: Sequence[MemoryDescriptor]) -> tuple[list[MemoryDescriptor], list[MemoryDescriptor]]:
    """Split a map into gMemoryMap's part and the GCD's alone: Reserved and MMIO without RAM's cacheability."""
    sizes: Counter[int] = Counter()
    for entry in descriptors:
        if entry.memory_type == CONVENTIONAL:
            sizes[entry.attribute] += entry.size
    attribute = sizes.most_common(1)[0][0] if sizes else EFI_MEMORY_WB
    ram, outside = [], []
    for entry in descriptors:
        doubtful = entry.memory_type in _GCD_TYPES
        like_ram = entry.attribute & EFI_MEMORY_WB or entry.attribute & ~EFI_MEMORY_RUNTIME == attribute != 0
        if entry.memory_type in _NEVER_RAM or (doubtful and not like_ram):
            outside.append(entry)
        else:
            ram.append(entry)
    return ram, outside


def recognise(ram: Sequence[MemoryDescriptor]) -> RecognisedFirmware | None:
    """The recorded firmware that a map comes from, or None."""
    low_top = max((entry.physical_end for entry in ram if entry.physical_end <= _FOUR_GIB), default=0)
    shown = {(entry.physical_start, entry.physical_end, entry.memory_type) for entry in ram}
    above_4g = any(entry.physical_end > _FOUR_GIB for entry in ram)
    best, most = None, 0.0
    for name, td in product(FIRMWARE_MODEL_NAMES, (False, True)):
        model = firmware_model(name, td).in_machine(above_4g)
        for stage in model.stages.values():
            pieces = [piece for piece in stage.layout(low_top) if piece.memory_type != CONVENTIONAL]
            common = sum((piece.start, piece.end, piece.memory_type) in shown for piece in pieces) / len(pieces)
            if common > most:
                best, most = RecognisedFirmware(model, stage, low_top), common
    return best if most >= _LEAST_IN_COMMON else None


def _entries(
    descriptor: MemoryDescriptor,
    bins: Bins,
    pieces: Sequence[Piece],
    free_in_bins: Mapping[int, Sequence[tuple[int, int]]],
) -> list[MapEntry]:
    """The gMemoryMap entries of one RAM descriptor."""
    attribute = descriptor.attribute
    if descriptor.memory_type in RUNTIME_TYPES:
        attribute &= ~EFI_MEMORY_RUNTIME
    whole = MapEntry(descriptor.physical_start, descriptor.physical_end, descriptor.memory_type, attribute)
    entries = [whole]
    for piece in pieces:
        if piece.capabilities:
            entries = [part for entry in entries for part in _with_capabilities(entry, piece)]
    area = bins.get(descriptor.memory_type)
    if area is not None and area.is_special:
        for start, end in free_in_bins.get(area.memory_type, ()):
            start, end = max(start, area.start), min(end, area.end)
            entries = [part for entry in entries for part in _with_hole(entry, start, end)]
    return entries


def _recorded_free(firmware: RecognisedFirmware, bins: Bins) -> dict[int, Sequence[tuple[int, int]]]:
    """What the recorded firmware leaves free in each bin when it starts a boot loader."""
    layout = firmware.model.stages[BOOT_LOADER].layout(firmware.low_top)
    free = [(piece.start, piece.end) for piece in layout if piece.memory_type == CONVENTIONAL]
    return {area.memory_type: [span for span in free if area.start < span[1] and span[0] < area.end] for area in bins}


def _with_hole(entry: MapEntry, start: int, end: int) -> list[MapEntry]:
    start, end = max(start, entry.start), min(end, entry.end)
    if start >= end or entry.memory_type == CONVENTIONAL:
        return [entry]
    parts = (
        entry._replace(end=start),
        entry._replace(start=start, end=end, memory_type=CONVENTIONAL),
        entry._replace(start=end),
    )
    return [part for part in parts if part.start < part.end]


def _with_capabilities(entry: MapEntry, piece: Piece) -> list[MapEntry]:
    if piece.memory_type != entry.memory_type or not entry.start <= piece.start < piece.end <= entry.end:
        return [entry]
    parts = (
        entry._replace(end=piece.start),
        entry._replace(start=piece.start, end=piece.end, attribute=entry.attribute | piece.capabilities),
        entry._replace(start=piece.end),
    )
    return [part for part in parts if part.start < part.end]


def _memory_space(ram: Sequence[MemoryDescriptor], outside: Sequence[MemoryDescriptor]) -> MemorySpaceMap:
    end = max((entry.physical_end for entry in (*ram, *outside)), default=0)
    gcd = MemorySpaceMap(max(_LEAST_WIDTH, (end - 1).bit_length()))
    for entry in ram:
        attribute = entry.attribute & ~EFI_MEMORY_RUNTIME
        gcd.add_memory_space(
            EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory, entry.physical_start, entry.size, attribute, 0
        )
    for entry in outside:
        gcd.add_memory_space(_GCD_TYPES[entry.memory_type], entry.physical_start, entry.size, 0, entry.attribute)
    return gcd
