"""Finding the memory type bins in a printed memory map.

Source: the sizes are OVMF's own: OvmfPkg/OvmfPkgX64.dsc (PcdMemoryType* and PlatformInitLib's defaults) and
OvmfPkg/Library/PeilessStartupLib/PeilessStartup.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tdvfsh.dxe.memory.bins import SPECIAL_TYPES, Bin, Bins, stack_bins
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import PAGE_SHIFT

_NVS: Final = EfiMemoryType.EfiACPIMemoryNVS
_RECLAIM: Final = EfiMemoryType.EfiACPIReclaimMemory
_RESERVED: Final = EfiMemoryType.EfiReservedMemoryType
_RT_CODE: Final = EfiMemoryType.EfiRuntimeServicesCode
_RT_DATA: Final = EfiMemoryType.EfiRuntimeServicesData

OVMF_X64: Final = ((_NVS, 0x80), (_RECLAIM, 0x12), (_RESERVED, 0x80), (_RT_CODE, 0x100), (_RT_DATA, 0x100))
INTEL_TDX: Final = (
    (_NVS, 4),
    (_RECLAIM, 8),
    (_RESERVED, 4),
    (_RT_DATA, 0x24),
    (_RT_CODE, 0x30),
    (EfiMemoryType.EfiBootServicesCode, 0x180),
    (EfiMemoryType.EfiBootServicesData, 0xF00),
)
KNOWN_LISTS: Final = (OVMF_X64, INTEL_TDX)
"""Memory type information of known firmware: ``(type, pages)`` from the highest bin down."""

_FEWEST_IN_A_CHAIN: Final = 3


def find_bins(ram: Sequence[MemoryDescriptor]) -> Bins:
    """The bins of the RAM descriptors of a map, or none where the map shows no sign of them.

    Free memory in a bin is printed as the bin's type, so the bins stand in a map as a chain of adjacent descriptors of
    distinct special types. The ends of a chain may have grown into a neighbour of equal type; a known list of sizes
    says where they end. Sizes that no list has (a variable may raise them) are taken as they stand.
    """
    for sizes in KNOWN_LISTS:
        top = _top_of(sizes, ram)
        if top is not None:
            return stack_bins(top, sizes)
    chain = _longest_chain(ram)
    if len(chain) < _FEWEST_IN_A_CHAIN or not {_RT_CODE, _RT_DATA} <= {entry.memory_type for entry in chain}:
        return Bins()
    return Bins(Bin(entry.memory_type, entry.physical_start, entry.physical_end) for entry in chain)


def _top_of(sizes: Sequence[tuple[EfiMemoryType, int]], ram: Sequence[MemoryDescriptor]) -> int | None:
    """Where the first bin of a known list ends, if the map has such a chain."""
    special = [(memory_type, pages) for memory_type, pages in reversed(sizes) if memory_type in SPECIAL_TYPES]
    ordered = sorted(ram, key=lambda entry: entry.physical_start)
    for index in range(len(ordered) - len(special) + 1):
        chain = ordered[index : index + len(special)]
        if (
            all(low.physical_end == high.physical_start for low, high in pairwise(chain))
            and [entry.memory_type for entry in chain] == [memory_type for memory_type, _ in special]
            and all(
                entry.number_of_pages == pages for entry, (_, pages) in zip(chain[1:-1], special[1:-1], strict=True)
            )
            and chain[0].number_of_pages >= special[0][1]
            and chain[-1].number_of_pages >= special[-1][1]
        ):
            return chain[-1].physical_start + (special[-1][1] << PAGE_SHIFT)
    return None


def _longest_chain(ram: Sequence[MemoryDescriptor]) -> list[MemoryDescriptor]:
    best: list[MemoryDescriptor] = []
    chain: list[MemoryDescriptor] = []
    for entry in sorted(ram, key=lambda entry: entry.physical_start):
        fits = entry.memory_type in SPECIAL_TYPES and (not chain or chain[-1].physical_end == entry.physical_start)
        if not fits or any(known.memory_type == entry.memory_type for known in chain):
            chain = []
        if entry.memory_type in SPECIAL_TYPES:
            chain.append(entry)
        if len(chain) > len(best):
            best = chain.copy()
    return best
