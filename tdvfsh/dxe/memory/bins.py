"""Memory type bins: the address preferences that keep runtime memory in one place.

Source: edk2 MdeModulePkg/Core/Dxe/Mem/Page.c (CoreAddMemoryDescriptor, CoreSetMemoryTypeInformationRange) and
MemoryBin.c; which bins OVMF asks for: OvmfPkg/Library/PlatformInitLib, OvmfPkg/Library/PeilessStartupLib.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import EFI_MAX_MEMORY_TYPE, EfiMemoryType
from tdvfsh.units import PAGE_SHIFT

MAX_ADDRESS: Final = (1 << 64) - 1

SPECIAL_TYPES: Final = frozenset(
    {
        EfiMemoryType.EfiReservedMemoryType,
        EfiMemoryType.EfiRuntimeServicesCode,
        EfiMemoryType.EfiRuntimeServicesData,
        EfiMemoryType.EfiACPIReclaimMemory,
        EfiMemoryType.EfiACPIMemoryNVS,
        EfiMemoryType.EfiPalCode,
    }
)
"""Types whose bin is theirs alone: no caller may allocate in it by address, and its free pages are reported as used."""

RUNTIME_TYPES: Final = frozenset(
    {EfiMemoryType.EfiRuntimeServicesCode, EfiMemoryType.EfiRuntimeServicesData, EfiMemoryType.EfiPalCode}
)
"""Types whose descriptors carry EFI_MEMORY_RUNTIME."""


@dataclass(frozen=True, slots=True)
class Bin:
    """``[start, end)`` in bytes, preferred for one memory type."""

    memory_type: int
    start: int
    end: int

    @property
    def is_special(self) -> bool:
        """Whether the bin is reserved for its type."""
        return self.memory_type in SPECIAL_TYPES


class Bins:
    """All bins of a machine.

    ``default_maximum`` is the last byte below the lowest of them (mDefaultMaximumAddress); ``special`` are those whose
    free pages are reported as their type, lowest first.
    """

    __slots__ = ("_by_type", "default_maximum", "special")

    def __init__(self, bins: Iterable[Bin] = ()) -> None:
        self._by_type = {entry.memory_type: entry for entry in bins if entry.end > entry.start}
        self.default_maximum = min((entry.start for entry in self._by_type.values()), default=MAX_ADDRESS + 1) - 1
        self.special = sorted((entry for entry in self if entry.is_special), key=lambda entry: entry.start)

    def __iter__(self) -> Iterator[Bin]:
        return iter(self._by_type.values())

    def __len__(self) -> int:
        return len(self._by_type)

    def get(self, memory_type: int) -> Bin | None:
        """The bin of ``memory_type``, if it has one."""
        return self._by_type.get(memory_type) if memory_type < EFI_MAX_MEMORY_TYPE else None

    def forbids_address(self, memory_type: int, start: int, end: int) -> bool:
        """Whether AllocateAddress of ``[start, end)`` would touch the bin of another special type."""
        return any(
            start < entry.end and entry.start < end and entry.memory_type != memory_type for entry in self.special
        )


def stack_bins(top: int, sizes: Iterable[tuple[int, int]]) -> Bins:
    """Bins laid out downwards from ``top`` in the order of the firmware's MemoryTypeInformation array.

    Args:
        top: First byte after the first bin.
        sizes: ``(memory type, pages)`` in array order.
    """
    bins = []
    for memory_type, pages in sizes:
        start = top - (pages << PAGE_SHIFT)
        bins.append(Bin(memory_type, start, top))
        top = start
    return Bins(bins)
