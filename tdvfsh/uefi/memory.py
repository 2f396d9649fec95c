"""Memory types, attributes and the memory descriptor.

Source: UEFI 2.10 section 7.2 (tables 7.7 and 7.10); edk2 MdePkg/Include/Uefi/UefiMultiPhase.h.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.notebook import table_html
from tdvfsh.units import PAGE_SHIFT, human_size


class EfiMemoryType(IntEnum):
    """EFI_MEMORY_TYPE with the names that the Shell's ``memmap`` prints.

    ``label`` is the name in ``memmap``'s table, ``sfo_name`` the one in ``memmap -sfo``.
    """

    label: str
    sfo_name: str

    def __new__(cls, value: int, label: str, sfo_name: str) -> EfiMemoryType:
        member = int.__new__(cls, value)
        member._value_ = value
        member.label = label
        member.sfo_name = sfo_name
        return member

    EfiReservedMemoryType = 0, "Reserved", "Reserved"
    EfiLoaderCode = 1, "LoaderCode", "LoaderCode"
    EfiLoaderData = 2, "LoaderData", "LoaderData"
    EfiBootServicesCode = 3, "BS_Code", "BootServiceCode"
    EfiBootServicesData = 4, "BS_Data", "BootServiceData"
    EfiRuntimeServicesCode = 5, "RT_Code", "RuntimeCode"
    EfiRuntimeServicesData = 6, "RT_Data", "RuntimeData"
    EfiConventionalMemory = 7, "Available", "Available"
    EfiUnusableMemory = 8, "Unusable", "UnusableMemory"
    EfiACPIReclaimMemory = 9, "ACPI_Recl", "ACPIReclaimMemory"
    EfiACPIMemoryNVS = 10, "ACPI_NVS", "ACPIMemoryNVS"
    EfiMemoryMappedIO = 11, "MMIO", "MemoryMappedIO"
    EfiMemoryMappedIOPortSpace = 12, "MMIO_Port", "MemoryMappedIOPortSpace"
    EfiPalCode = 13, "PalCode", "PalCode"
    EfiPersistentMemory = 14, "Persistent", "Persistent"
    EfiUnacceptedMemoryType = 15, "Unaccepted", "Unaccepted"


EFI_MAX_MEMORY_TYPE: Final = 16
OEM_MEMORY_TYPE_FIRST: Final = 0x70000000  # OEM 0x7xxxxxxx, OS loader 0x8xxxxxxx to 0xFxxxxxxx
MEMORY_TYPE_LAST: Final = 0xFFFFFFFF


_TYPE_NAMES: Final = tuple(memory_type.name for memory_type in EfiMemoryType)


def memory_type_name(memory_type: int) -> str:
    """The specification's name, or the number in hex for OEM and OS loader types."""
    return _TYPE_NAMES[memory_type] if 0 <= memory_type < EFI_MAX_MEMORY_TYPE else f"{memory_type:#x}"


class EfiAllocateType(IntEnum):
    """EFI_ALLOCATE_TYPE."""

    AllocateAnyPages = 0
    AllocateMaxAddress = 1
    AllocateAddress = 2


EFI_MEMORY_UC: Final = 0x1
EFI_MEMORY_WC: Final = 0x2
EFI_MEMORY_WT: Final = 0x4
EFI_MEMORY_WB: Final = 0x8
EFI_MEMORY_UCE: Final = 0x10
EFI_MEMORY_WP: Final = 0x1000
EFI_MEMORY_RP: Final = 0x2000
EFI_MEMORY_XP: Final = 0x4000
EFI_MEMORY_NV: Final = 0x8000
EFI_MEMORY_MORE_RELIABLE: Final = 0x10000
EFI_MEMORY_RO: Final = 0x20000
EFI_MEMORY_SP: Final = 0x40000
EFI_MEMORY_CPU_CRYPTO: Final = 0x80000
EFI_MEMORY_HOT_PLUGGABLE: Final = 0x100000
EFI_MEMORY_ISA_VALID: Final = 1 << 62
EFI_MEMORY_RUNTIME: Final = 1 << 63
EFI_MEMORY_ACCESS_MASK: Final = EFI_MEMORY_RP | EFI_MEMORY_XP | EFI_MEMORY_RO
EFI_CACHE_ATTRIBUTE_MASK: Final = (
    EFI_MEMORY_UC | EFI_MEMORY_WC | EFI_MEMORY_WT | EFI_MEMORY_WB | EFI_MEMORY_UCE | EFI_MEMORY_WP
)

MEMORY_DESCRIPTOR_VERSION: Final = 1
MEMORY_DESCRIPTOR_SIZE: Final = 48  # edk2 adds 8 to the structure's 40 so that no caller relies on sizeof
_DESCRIPTOR: Final = struct.Struct("<I4xQQQQ8x")


class MemoryDescriptor(NamedTuple):
    """EFI_MEMORY_DESCRIPTOR: what GetMemoryMap reports of one range.

    ``physical_start`` is a byte address, ``number_of_pages`` counts 4 KiB pages. ``memory_type`` is an int because
    OEM and OS loader types have no name.
    """

    memory_type: int
    physical_start: int
    number_of_pages: int
    attribute: int
    virtual_start: int = 0

    @property
    def physical_end(self) -> int:
        """First byte after the range."""
        return self.physical_start + (self.number_of_pages << PAGE_SHIFT)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.number_of_pages << PAGE_SHIFT

    def pack(self) -> bytes:
        """The 48 bytes that firmware writes into the caller's buffer."""
        return _DESCRIPTOR.pack(
            self.memory_type, self.physical_start, self.virtual_start, self.number_of_pages, self.attribute
        )


class MemoryMapListing(tuple[MemoryDescriptor, ...]):
    """The descriptors of a memory map, in the order in which GetMemoryMap returns them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<memory map of {len(self)} descriptors, {human_size(sum(entry.size for entry in self))}>"

    def _repr_html_(self) -> str:
        return table_html(
            f"Memory map, {len(self)} descriptors",
            ("type", "start", "end", "size", "attribute"),
            (
                (
                    memory_type_name(entry.memory_type),
                    f"{entry.physical_start:#x}",
                    f"{entry.physical_end:#x}",
                    human_size(entry.size),
                    f"{entry.attribute:#x}",
                )
                for entry in self
            ),
        )


class EfiGcdMemoryType(IntEnum):
    """EFI_GCD_MEMORY_TYPE (PI 1.8, volume 2, 7.2.2); ``label`` is edk2's dump label, padded to nine."""

    label: str

    def __new__(cls, value: int, label: str) -> EfiGcdMemoryType:
        member = int.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    EfiGcdMemoryTypeNonExistent = 0, "NonExist "
    EfiGcdMemoryTypeReserved = 1, "Reserved "
    EfiGcdMemoryTypeSystemMemory = 2, "SystemMem"
    EfiGcdMemoryTypeMemoryMappedIo = 3, "MMIO     "
    EfiGcdMemoryTypePersistent = 4, "PersisMem"
    EfiGcdMemoryTypeMoreReliable = 5, "MoreRelia"
    EfiGcdMemoryTypeUnaccepted = 6, "Unaccepte"


class AddressSpan(NamedTuple):
    """A half-open range of byte addresses ``[start, end)``."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start
