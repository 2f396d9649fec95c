"""Page tables of firmware that protects memory: the identity map, in pages as large as its access attributes allow.

Source: Intel SDM volume 3, 4.5; edk2 UefiCpuPkg/CpuDxe/CpuPageTable.c (which splits large pages where attributes
differ, and never joins them again).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence

from tdvfsh.engine.errors import EngineError
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import EFI_MEMORY_RO, EFI_MEMORY_RP, EFI_MEMORY_XP
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, PAGE_SIZE

Span = tuple[int, int, int]
"""Start, end and access attributes."""

ROOM: Final = 1 << 20
"""Bytes for the tables of split pages."""
_PRESENT: Final = 1
_WRITABLE: Final = 1 << 1
_LARGE: Final = 1 << 7
_NO_EXECUTE: Final = 1 << 63
_ENTRIES: Final = 512
_TABLE: Final = struct.Struct(f"<{_ENTRIES}Q")


class ProtectedPaging:
    """The page tables at one place.

    Args:
        write: Writes bytes at a physical address.
        forget: Drops what the processor knows of linear addresses.
        leaves: Address of the table whose entries map one GiB each.
        count: Number of those entries.
        room: Address of :data:`ROOM` bytes for further tables.
    """

    def __init__(
        self,
        write: Callable[[int, bytes], object],
        forget: Callable[[], None],
        leaves: int,
        count: int,
        room: int,
    ) -> None:
        self._write = write
        self._forget = forget
        self._leaves = leaves
        self._count = count
        self._room = room
        self._next = room
        self._spans: list[Span] = []

    def update(self, spans: list[Span]) -> None:
        """Map all memory by its access attributes; ``spans`` is what is not simply writable and executable, sorted.

        Raises:
            EngineError: The attributes change too often from page to page.
        """
        if spans == self._spans:
            return
        self._spans = spans
        self._next = self._room
        entries = self._table(0, GIB, self._count, spans)
        self._write(self._leaves, struct.pack(f"<{self._count}Q", *entries))
        self._forget()

    def _table(self, base: int, size: int, count: int, spans: Iterable[Span]) -> list[int]:
        """``count`` entries of ``size`` bytes each, from ``base`` on."""
        leaf = _LARGE if size > PAGE_SIZE else 0
        entries = [base + number * size | _PRESENT | _WRITABLE | leaf for number in range(count)]
        mixed: dict[int, list[Span]] = {}
        for start, end, attributes in spans:
            first, last = max(start - base, 0), min(end - base, count * size)
            whole, after = -(-first // size), last // size
            for number in range(whole, after):
                entries[number] = _entry(base + number * size, attributes) | leaf
            for number in {first // size, after} if whole <= after else {first // size}:
                low, high = base + number * size, base + (number + 1) * size
                if number < count and max(start, low) < min(end, high) and not (start <= low and high <= end):
                    mixed.setdefault(number, []).append((max(start, low), min(end, high), attributes))
        smaller = LARGE_PAGE_SIZE if size == GIB else PAGE_SIZE
        for number, inside in mixed.items():
            entries[number] = self._put(self._table(base + number * size, smaller, _ENTRIES, inside))
        return entries

    def _put(self, entries: Sequence[int]) -> int:
        address = self._next
        if address + PAGE_SIZE > self._room + ROOM:
            raise EngineError("the firmware's page tables are used up: access attributes differ too often")
        self._next += PAGE_SIZE
        self._write(address, _TABLE.pack(*entries))
        return address | _PRESENT | _WRITABLE


def _entry(address: int, attributes: int) -> int:
    """A leaf, without the bit for large pages; memory that may not be read is not present."""
    present = 0 if attributes & EFI_MEMORY_RP else _PRESENT
    writable = 0 if attributes & EFI_MEMORY_RO else _WRITABLE
    return address | present | writable | (_NO_EXECUTE if attributes & EFI_MEMORY_XP else 0)
