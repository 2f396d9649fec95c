"""Linux's unaccepted-memory table: what the EFI stub tells the kernel about memory it must accept itself.

Source: Linux drivers/firmware/efi/libstub/unaccepted_memory.c and bitmap.c (6.5 and later); unit size of x86.
"""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import LARGE_PAGE_SIZE, align_down, align_up

TABLE_VERSION: Final = 1
TABLE_HEADER_SIZE: Final = 24
UNIT_SIZE: Final = LARGE_PAGE_SIZE
_BYTE_SPAN: Final = UNIT_SIZE * 8


@dataclass(frozen=True, slots=True)
class UnacceptedTable:
    """struct efi_unaccepted_memory.

    Attributes:
        phys_base: Byte address of the first bit's unit.
        size: Bytes of the bitmap.
        runs: ``(first bit, end bit)`` of the set bits, ascending and apart.
        accepted_now: ``(start, end)`` in bytes that the stub accepts itself, ascending.
    """

    phys_base: int
    size: int
    runs: tuple[tuple[int, int], ...]
    accepted_now: tuple[tuple[int, int], ...]

    @property
    def table_size(self) -> int:
        """Bytes of the whole table, header included."""
        return TABLE_HEADER_SIZE + self.size

    @property
    def units(self) -> int:
        """Set bits: units of 2 MiB left to the kernel."""
        return sum(end - first for first, end in self.runs)

    def bitmap(self) -> bytes:
        """The bitmap, bit 0 of byte 0 first."""
        value = 0
        for first, end in self.runs:
            value |= ((1 << (end - first)) - 1) << first
        return value.to_bytes(self.size, "little")


def table_span(descriptors: Iterable[MemoryDescriptor]) -> tuple[int, int] | None:
    """``(phys_base, bitmap bytes)`` that a memory map's unaccepted ranges take; None where it has none."""
    ranges = [
        (entry.physical_start, entry.physical_end)
        for entry in descriptors
        if entry.memory_type == EfiMemoryType.EfiUnacceptedMemoryType
    ]
    if not ranges:
        return None
    base = align_down(min(start for start, _ in ranges), UNIT_SIZE)
    end = align_up(max(end for _, end in ranges), UNIT_SIZE)
    return base, -(-(end - base) // _BYTE_SPAN)


def unaccepted_table(descriptors: Iterable[MemoryDescriptor]) -> UnacceptedTable | None:
    """The table as it stands once the stub has gone through the final memory map; None without unaccepted memory.

    A range shorter than two units is accepted at once; of longer ones the parts before the first and after the last
    whole unit are, and the whole units get their bits.
    """
    known = [entry for entry in descriptors if entry.memory_type == EfiMemoryType.EfiUnacceptedMemoryType]
    span = table_span(known)
    if span is None:
        return None
    base, size = span
    bits: list[tuple[int, int]] = []
    accepted: list[tuple[int, int]] = []
    for entry in sorted(known, key=lambda entry: entry.physical_start):
        start, end = entry.physical_start, entry.physical_end
        if end - start < 2 * UNIT_SIZE:
            accepted.append((start, end))
            continue
        low, high = align_up(start, UNIT_SIZE), align_down(end, UNIT_SIZE)
        accepted += [piece for piece in ((start, low), (high, end)) if piece[0] < piece[1]]
        first, last = (low - base) // UNIT_SIZE, (high - base) // UNIT_SIZE
        if bits and bits[-1][1] == first:
            bits[-1] = (bits[-1][0], last)
        else:
            bits.append((first, last))
    return UnacceptedTable(base, size, tuple(bits), tuple(accepted))
