"""EFI memory maps as boot loaders print them: GRUB's ``lsefimmap`` and U-Boot's ``efidebug memmap``.

Source: GRUB grub-core/commands/efi/lsefimmap.c 2.12; U-Boot cmd/efidebug.c 2024.01.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tdvfsh.errors import FormatError
from tdvfsh.formats.maps.rows import descriptor
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import memory
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import PAGE_SHIFT

_GRUB_TYPES: Final = {
    "reserved": 0, "ldr-code": 1, "ldr-data": 2, "BS-code": 3, "BS-data": 4, "RT-code": 5, "RT-data": 6, "conv-mem": 7,
    "unusable": 8, "ACPI-rec": 9, "ACPI-nvs": 10, "MMIO": 11, "IO-ports": 12, "PAL-code": 13, "persist": 14,
}  # fmt: skip
_FLAGS: Final = {
    "RT": memory.EFI_MEMORY_RUNTIME, "UC": memory.EFI_MEMORY_UC, "WC": memory.EFI_MEMORY_WC,
    "WT": memory.EFI_MEMORY_WT, "WB": memory.EFI_MEMORY_WB, "UCE": memory.EFI_MEMORY_UCE,
    "WP": memory.EFI_MEMORY_WP, "RP": memory.EFI_MEMORY_RP, "XP": memory.EFI_MEMORY_XP, "NV": memory.EFI_MEMORY_NV,
    "MR": memory.EFI_MEMORY_MORE_RELIABLE, "REL": memory.EFI_MEMORY_MORE_RELIABLE, "RO": memory.EFI_MEMORY_RO,
    "SP": memory.EFI_MEMORY_SP, "CC": memory.EFI_MEMORY_CPU_CRYPTO,
}  # fmt: skip
_GRUB_ROW: Final = re.compile(
    r"(?P<type>Unk [0-9a-f]{2,8}|[A-Za-z]+-?[A-Za-z]*)\s+(?P<start>[0-9a-f]{16})-(?P<end>[0-9a-f]{16}) "
    r"(?P<pages>[0-9a-f]{8,16})\s+[0-9]+[KMGT]?i?B(?P<flags>(?: [A-Z]+)*)"
)
_UBOOT_TYPES: Final = {
    "RESERVED": EfiMemoryType.EfiReservedMemoryType,
    "LOADER CODE": EfiMemoryType.EfiLoaderCode,
    "LOADER DATA": EfiMemoryType.EfiLoaderData,
    "BOOT CODE": EfiMemoryType.EfiBootServicesCode,
    "BOOT DATA": EfiMemoryType.EfiBootServicesData,
    "RUNTIME CODE": EfiMemoryType.EfiRuntimeServicesCode,
    "RUNTIME DATA": EfiMemoryType.EfiRuntimeServicesData,
    "CONVENTIONAL": EfiMemoryType.EfiConventionalMemory,
    "UNUSABLE MEM": EfiMemoryType.EfiUnusableMemory,
    "ACPI RECLAIM MEM": EfiMemoryType.EfiACPIReclaimMemory,
    "ACPI NVS": EfiMemoryType.EfiACPIMemoryNVS,
    "IO": EfiMemoryType.EfiMemoryMappedIO,
    "IO PORT": EfiMemoryType.EfiMemoryMappedIOPortSpace,
    "PAL": EfiMemoryType.EfiPalCode,
    "PERSISTENT": EfiMemoryType.EfiPersistentMemory,
    "UNACCEPTED": EfiMemoryType.EfiUnacceptedMemoryType,
}
_UBOOT_ROW: Final = re.compile(
    r"(?P<type>[A-Z]+(?: [A-Z]+){0,2})\s+(?P<start>[0-9a-f]{16})-(?P<end>[0-9a-f]{16})\s*(?P<flags>[A-Z|]*)"
)


def read_lsefimmap(lines: Sequence[str], path: str) -> list[MemoryDescriptor]:
    """The rows of ``lsefimmap``; a type without a name is printed as ``Unk HEX``.

    Raises:
        FormatError: An unknown type, or a row whose numbers contradict each other.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if match := _GRUB_ROW.search(line):
            name = match["type"]
            kind = int(name[4:], 16) if name.startswith("Unk ") else _GRUB_TYPES.get(name)
            if kind is None:
                raise FormatError(path, f"line {number}: unknown memory type {name!r}")
            start, end, pages = (int(match[group], 16) for group in ("start", "end", "pages"))
            flags = _attribute(match["flags"].split())
            found.append(descriptor(kind, start, end, pages, flags, path=path, line=number))
    return found


def read_efidebug(lines: Sequence[str], path: str) -> list[MemoryDescriptor]:
    """The rows of ``efidebug memmap``, whose ends are exclusive.

    Raises:
        FormatError: An unknown type, or a range that is not made of pages.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if match := _UBOOT_ROW.search(line):
            kind = _UBOOT_TYPES.get(match["type"])
            if kind is None:
                raise FormatError(path, f"line {number}: unknown memory type {match['type']!r}")
            start, end = int(match["start"], 16), int(match["end"], 16)
            flags = _attribute(match["flags"].split("|"))
            pages = max(0, end - start) >> PAGE_SHIFT
            found.append(descriptor(kind, start, end - 1, pages, flags, path=path, line=number))
    return found


def _attribute(flags: Sequence[str]) -> int:
    attribute = 0
    for flag in flags:
        attribute |= _FLAGS.get(flag, 0)
    return attribute
