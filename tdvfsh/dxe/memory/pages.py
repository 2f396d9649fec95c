"""AllocatePages and FreePages.

Firmware would also promote untested memory when nothing fits; OVMF reports all of a guest's RAM as tested, so there is
never any, and unaccepted memory is never promoted.

Source: UEFI 2.10 7.2; edk2 MdeModulePkg/Core/Dxe/Mem/Page.c (CoreInternalAllocatePages, FindFreePages,
CoreInternalFreePages), versions as in :mod:`tdvfsh.dxe.profile`; held by
tests/dxe/memory/test_pages.py and the recordings.
"""

from __future__ import annotations

from tdvfsh.dxe.memory.bins import MAX_ADDRESS, Bins
from tdvfsh.dxe.memory.memory_map import CONVENTIONAL, MemoryMap
from tdvfsh.dxe.profile import FirmwareProfile
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import (
    EFI_MAX_MEMORY_TYPE,
    OEM_MEMORY_TYPE_FIRST,
    EfiAllocateType,
    EfiMemoryType,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE

_PAGE_MASK: Final = PAGE_SIZE - 1
_MAX_PAGES: Final = MAX_ADDRESS >> PAGE_SHIFT
_ANY: Final = int(EfiAllocateType.AllocateAnyPages)
_MAX: Final = int(EfiAllocateType.AllocateMaxAddress)
_ADDRESS: Final = int(EfiAllocateType.AllocateAddress)
_PERSISTENT: Final = int(EfiMemoryType.EfiPersistentMemory)
_UNACCEPTED: Final = int(EfiMemoryType.EfiUnacceptedMemoryType)
_new: Final = tuple.__new__  # of a PagesResult: what its constructor does, in half the time


class PagesResult(NamedTuple):
    """``memory`` is the start address on success, and the caller's own value otherwise."""

    status: EfiStatus
    memory: int


def memory_type_refused(memory_type: int, reject_unaccepted: bool) -> bool:
    """Whether AllocatePages and AllocatePool call the memory type an invalid parameter."""
    if 0 <= memory_type < CONVENTIONAL:  # nearly all
        return False
    return (
        EFI_MAX_MEMORY_TYPE <= memory_type < OEM_MEMORY_TYPE_FIRST
        or memory_type in (CONVENTIONAL, _PERSISTENT)
        or (reject_unaccepted and memory_type == _UNACCEPTED)
    )


class PageAllocator:
    """The page allocator over one memory map.

    Args:
        memory_map: gMemoryMap.
        bins: The memory type bins.
        profile: The firmware generation's rules.
    """

    __slots__ = ("bins", "memory_map", "profile")

    def __init__(self, memory_map: MemoryMap, bins: Bins, profile: FirmwareProfile) -> None:
        self.memory_map = memory_map
        self.bins = bins
        self.profile = profile
        memory_map.take_descriptor_page = self._take_descriptor_page

    def allocate_pages(self, allocate_type: int, memory_type: int, pages: int, memory: int | None) -> PagesResult:
        """AllocatePages.

        Args:
            allocate_type: EFI_ALLOCATE_TYPE; others are refused.
            memory_type: EFI_MEMORY_TYPE, or an OEM or OS loader type.
            pages: 4 KiB pages; the byte count wraps at 64 bits as firmware's does.
            memory: The address or limit on entry; None stands for a NULL pointer.

        Returns:
            EFI_INVALID_PARAMETER: A type that may not be asked for, or no place for the answer.
            EFI_OUT_OF_RESOURCES: AnyPages and MaxAddress found no room (0 pages included).
            EFI_NOT_FOUND: AllocateAddress cannot have that address.
        """
        if (
            not 0 <= allocate_type <= _ADDRESS
            or memory_type_refused(memory_type, self.profile.pages_reject_unaccepted)
            or memory is None
        ):
            return PagesResult(EfiStatus.EFI_INVALID_PARAMETER, memory or 0)
        if allocate_type == _ADDRESS:
            return PagesResult(self._allocate_address(memory_type, pages, memory), memory)
        maximum = memory if allocate_type == _MAX else MAX_ADDRESS
        start = self.find_free_pages(maximum, pages, memory_type)
        if start == 0:
            return PagesResult(EfiStatus.EFI_OUT_OF_RESOURCES, memory)
        status = self.memory_map.convert_pages(start, pages, memory_type)
        return _new(PagesResult, (status, start if status is SUCCESS else memory))

    def free_pages(self, memory: int, pages: int) -> EfiStatus:
        """FreePages.

        Returns:
            EFI_NOT_FOUND: The address lies in no descriptor, or some page is free already; pages before it are freed.
            EFI_INVALID_PARAMETER: The address is off the page, or no pages were named.
        """
        if self.memory_map.type_at(memory) is None:
            return EfiStatus.EFI_NOT_FOUND
        return self.memory_map.convert_pages(memory, pages, CONVENTIONAL)

    def find_free_pages(self, maximum: int, pages: int, memory_type: int, alignment: int = PAGE_SIZE) -> int:
        """FindFreePages: the type's own bin, then below all bins, then anywhere; 0 where nothing fits."""
        memory_map, bins = self.memory_map, self.bins
        own = bins.get(memory_type)
        if own is not None and maximum >= own.end - 1:
            start = memory_map.find_free_pages(own.end - 1, own.start, pages, alignment)
            if start:
                return start
        if maximum >= bins.default_maximum:
            start = memory_map.find_free_pages(bins.default_maximum, 0, pages, alignment)
            if start:
                return start
        return memory_map.find_free_pages(maximum, 0, pages, alignment)

    def allocate_pool_pages(self, memory_type: int, pages: int) -> int:
        """Pages for a pool, anywhere, as CoreAllocatePoolPages takes them; 0 where there are none."""
        start = self.find_free_pages(MAX_ADDRESS, pages, memory_type)
        if start and pages <= _MAX_PAGES:
            self.memory_map.convert_free(start, pages, memory_type)
            return start
        if start and self.memory_map.convert_pages(start, pages, memory_type) is SUCCESS:  # the byte count wrapped
            return start
        return 0

    def _allocate_address(self, memory_type: int, pages: int, start: int) -> EfiStatus:
        end = start + (pages << PAGE_SHIFT)
        if (
            start & _PAGE_MASK
            or (start == 0 and not self.profile.address_zero_allowed)
            or not 0 < pages <= _MAX_PAGES
            or end - 1 > MAX_ADDRESS
            or self.bins.forbids_address(memory_type, start, end)
        ):
            return EfiStatus.EFI_NOT_FOUND
        status = self.memory_map.convert_pages(start, pages, memory_type)
        return status if status is SUCCESS else EfiStatus.EFI_NOT_FOUND

    def _take_descriptor_page(self) -> None:
        self.allocate_pool_pages(EfiMemoryType.EfiBootServicesData, 1)
