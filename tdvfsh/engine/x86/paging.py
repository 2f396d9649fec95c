"""Long mode as firmware hands it over: identity mapped by 1 GiB pages, OVMF's selectors, empty interrupt table.

Source: UEFI 2.10 2.3.4; Intel SDM volume 3, 4.5; selectors as in edk2 UefiCpuPkg/CpuDxe/CpuGdt.c.
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_typing import Final
from tdvfsh.units import GIB, PAGE_SIZE

CODE_SELECTOR: Final = 0x38
DATA_SELECTOR: Final = 0x30
GDT: Final = struct.pack(
    "<8Q",
    0,
    0x00CF93000000FFFF,  # 0x08 data
    0x00CF9B000000FFFF,  # 0x10 32-bit code
    0x00CF93000000FFFF,  # 0x18 data
    0x00CF9B000000FFFF,  # 0x20 32-bit code
    0,
    0x00CF93000000FFFF,  # 0x30 data
    0x00AF9B000000FFFF,  # 0x38 64-bit code
)
IDT_SIZE: Final = 256 * 16
CR0: Final = 0x80010033  # PG WP NE ET MP PE
CR4: Final = 0x668  # OSXMMEXCPT OSFXSR MCE PAE DE
EFER_MSR: Final = 0xC0000080
EFER: Final = 0xD00  # NXE LMA LME

_PRESENT_WRITABLE: Final = 0x3
_LARGE: Final = 0x80
_ENTRIES: Final = 512


def page_tables_size(end: int) -> int:
    """Bytes of page tables that map ``[0, end)`` by whole GiB."""
    return (1 + -(-_gibibytes(end) // _ENTRIES)) * PAGE_SIZE


def page_tables(base: int, end: int) -> bytes:
    """Page tables that stand at ``base`` (CR3) and map ``[0, end)`` to itself; at least the first 4 GiB."""
    count = _gibibytes(end)
    tables = -(-count // _ENTRIES)
    top = [base + (1 + number) * PAGE_SIZE | _PRESENT_WRITABLE for number in range(tables)]
    leaves = [number * GIB | _PRESENT_WRITABLE | _LARGE for number in range(count)]
    leaves += [0] * (tables * _ENTRIES - count)
    return struct.pack(f"<{_ENTRIES}Q", *top, *[0] * (_ENTRIES - tables)) + struct.pack(f"<{len(leaves)}Q", *leaves)


def gibibyte_leaves(base: int, end: int) -> tuple[int, int]:
    """Where the entries of such page tables stand that map one GiB each, and how many there are."""
    return base + PAGE_SIZE, _gibibytes(end)


def _gibibytes(end: int) -> int:
    return max(4, -(-end // GIB))
