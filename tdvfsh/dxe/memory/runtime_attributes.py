"""The entries of the Memory Attributes Table: what an operating system may map read-only or not executable.

Runtime drivers that were loaded in this machine are split into their sections. Of the drivers that firmware brought
only the memory is known, so that theirs is listed whole, without RO or XP, as edk2 lists an image that it cannot split.

Source: UEFI 2.10 4.6.4; edk2 MdeModulePkg/Core/Dxe/Misc/MemoryAttributesTable.c (InstallMemoryAttributesTable,
EnforceMemoryMapAttribute) at c5aa7e7d.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.formats.pe.protection import code_ranges
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import (
    EFI_MEMORY_RO,
    EFI_MEMORY_RUNTIME,
    EFI_MEMORY_XP,
    MEMORY_DESCRIPTOR_SIZE,
    EfiMemoryType,
    MemoryDescriptor,
)
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, align_up

_CODE: Final = EfiMemoryType.EfiRuntimeServicesCode
_DATA: Final = EfiMemoryType.EfiRuntimeServicesData
_HEADER: Final = struct.Struct("<IIII")  # Version, NumberOfEntries, DescriptorSize, Flags
_VERSION: Final = 2


def runtime_attributes(
    descriptors: Iterable[MemoryDescriptor], images: Iterable[LoadedImage]
) -> list[MemoryDescriptor]:
    """The entries, in the order of the memory map.

    Args:
        descriptors: The memory map.
        images: The loaded images; those that are not runtime drivers are left out.
    """
    parts = sorted(part for image in images if image.image_code_type == _CODE for part in _parts(image))
    entries: list[MemoryDescriptor] = []
    for one in descriptors:
        if one.memory_type == _DATA:
            entries.append(_entry(_DATA, one.physical_start, one.physical_end, EFI_MEMORY_XP))
        elif one.memory_type == _CODE:
            at = one.physical_start
            for start, end, attributes in parts:
                if not (one.physical_start <= start and end <= one.physical_end):
                    continue
                if at < start:
                    entries.append(_entry(_CODE, at, start, 0))
                entries.append(_entry(_CODE, start, end, attributes))
                at = end
            if at < one.physical_end:
                entries.append(_entry(_CODE, at, one.physical_end, 0))
    return entries


def pack_table(entries: list[MemoryDescriptor]) -> bytes:
    """EFI_MEMORY_ATTRIBUTES_TABLE."""
    header = _HEADER.pack(_VERSION, len(entries), MEMORY_DESCRIPTOR_SIZE, 0)
    return header + b"".join(entry.pack() for entry in entries)


def _parts(image: LoadedImage) -> Iterator[tuple[int, int, int]]:
    """An image's sections as ranges with attributes; none where it cannot be split."""
    ranges = None if image.pe is None else code_ranges(image.pe)
    if not isinstance(ranges, list):
        return
    at, end = image.image_base, image.image_base + align_up(image.image_size, PAGE_SIZE)
    for start, stop in ranges:
        if at < image.image_base + start:
            yield at, image.image_base + start, EFI_MEMORY_XP
        yield image.image_base + start, image.image_base + stop, EFI_MEMORY_RO
        at = image.image_base + stop
    if at < end:
        yield at, end, EFI_MEMORY_XP


def _entry(kind: EfiMemoryType, start: int, end: int, attributes: int) -> MemoryDescriptor:
    return MemoryDescriptor(kind, start, (end - start) >> PAGE_SHIFT, EFI_MEMORY_RUNTIME | attributes)
