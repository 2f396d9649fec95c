"""A memory map as the Shell's ``memmap`` prints it, as a table and in Standard-Format Output, to the byte.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib/MemMap.c; held by the recordings.
"""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import MIB, PAGE_SHIFT

HEADING: Final = "Type       Start            End              # Pages          Attributes"
_BLANK: Final = " "  # firmware ends the table with a line of one blank
_RULE: Final = "              -------------- "

_TYPES: Final = {int(kind): kind for kind in EfiMemoryType}

_ROWS: Final = (
    EfiMemoryType.EfiReservedMemoryType,
    EfiMemoryType.EfiLoaderCode,
    EfiMemoryType.EfiLoaderData,
    EfiMemoryType.EfiBootServicesCode,
    EfiMemoryType.EfiBootServicesData,
    EfiMemoryType.EfiRuntimeServicesCode,
    EfiMemoryType.EfiRuntimeServicesData,
    EfiMemoryType.EfiACPIReclaimMemory,
    EfiMemoryType.EfiACPIMemoryNVS,
    EfiMemoryType.EfiMemoryMappedIO,
    EfiMemoryType.EfiMemoryMappedIOPortSpace,
    EfiMemoryType.EfiPalCode,
    EfiMemoryType.EfiUnacceptedMemoryType,
    EfiMemoryType.EfiConventionalMemory,
    EfiMemoryType.EfiPersistentMemory,
)
"""Order of the table's summary."""

_SFO_COLUMNS: Final = (
    EfiMemoryType.EfiReservedMemoryType,
    EfiMemoryType.EfiBootServicesCode,
    EfiMemoryType.EfiBootServicesData,
    EfiMemoryType.EfiRuntimeServicesCode,
    EfiMemoryType.EfiRuntimeServicesData,
    EfiMemoryType.EfiLoaderCode,
    EfiMemoryType.EfiLoaderData,
    EfiMemoryType.EfiConventionalMemory,
    EfiMemoryType.EfiMemoryMappedIO,
    EfiMemoryType.EfiMemoryMappedIOPortSpace,
    EfiMemoryType.EfiUnusableMemory,
    EfiMemoryType.EfiACPIReclaimMemory,
    EfiMemoryType.EfiACPIMemoryNVS,
    EfiMemoryType.EfiPalCode,
    EfiMemoryType.EfiUnacceptedMemoryType,
    EfiMemoryType.EfiPersistentMemory,
)
"""Order of ``MemoryMapSummary`` after the total."""

_NOT_IN_TOTAL: Final = frozenset(
    {
        EfiMemoryType.EfiReservedMemoryType,
        EfiMemoryType.EfiUnusableMemory,
        EfiMemoryType.EfiMemoryMappedIO,
        EfiMemoryType.EfiMemoryMappedIOPortSpace,
    }
)


def memmap_table(descriptors: Iterable[MemoryDescriptor]) -> list[str]:
    """The lines of ``memmap``; OEM and OS loader types show as 8 hex digits."""
    rows = list(descriptors)
    pages = _pages_by_type(rows)
    lines = [HEADING]
    lines += [
        f"{_name(row.memory_type)} {row.physical_start:016X}-{row.physical_end - 1:016X} "
        f"{row.number_of_pages:016X} {row.attribute:016X}"
        for row in rows
    ]
    lines.append(_BLANK)
    lines += [_summary(f"{kind.label:<10}", pages.get(kind, 0)) for kind in _ROWS]
    lines += [_summary(f"{kind:08x}  ", count) for kind, count in pages.items() if kind not in _TYPES]
    total = _total(pages) << PAGE_SHIFT
    return [*lines, _RULE, f"Total Memory: {total // MIB:>14,} MB ({total:,} Bytes)"]


def memmap_sfo(descriptors: Iterable[MemoryDescriptor]) -> list[str]:
    """The lines of ``memmap -sfo``.

    The stray blank before the summary's last value is edk2's.
    """
    rows = list(descriptors)
    pages = _pages_by_type(rows)
    lines = ['ShellCommand,"memmap"']
    lines += [
        f'MemoryMap,"{_sfo_name(row.memory_type)}","{row.physical_start:X}","{row.physical_end - 1:X}",'
        f'"{row.number_of_pages:X}","{row.attribute:X}"'
        for row in rows
    ]
    sums = [_total(pages), *(pages.get(kind, 0) for kind in _SFO_COLUMNS)]
    values = [f'"{count << PAGE_SHIFT}"' for count in sums]
    return [*lines, f"MemoryMapSummary,{','.join(values[:-1])}, {values[-1]}"]


def _pages_by_type(descriptors: list[MemoryDescriptor]) -> dict[int, int]:
    pages: dict[int, int] = {}
    for row in descriptors:
        pages[row.memory_type] = pages.get(row.memory_type, 0) + row.number_of_pages
    return pages


def _total(pages: dict[int, int]) -> int:
    return sum(count for kind, count in pages.items() if kind not in _NOT_IN_TOTAL)


def _summary(name: str, pages: int) -> str:
    return f"  {name}: {pages:>14,} Pages ({pages << PAGE_SHIFT:,} Bytes)"


def _name(memory_type: int) -> str:
    known = _TYPES.get(memory_type)
    return f"{memory_type:08x}  " if known is None else f"{known.label:<10}"


def _sfo_name(memory_type: int) -> str:
    known = _TYPES.get(memory_type)
    return f"{memory_type:08x}" if known is None else known.sfo_name
