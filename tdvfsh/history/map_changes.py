"""The memory map over time, rebuilt from a journal: what each call painted over.

A call's change counts from its last inner call on: an allocation that accepts first is there after the accept.

Source: the pool's pages follow edk2 MdeModulePkg/Core/Dxe/Mem/Pool.c, as :mod:`tdvfsh.dxe.memory.pool` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tdvfsh.dxe.memory.memory_map import CONVENTIONAL
from tdvfsh.dxe.memory.pool import BLOCK_SIZES, POOL_HEAD_SIZE, POOL_OVERHEAD
from tdvfsh.history.accept_events import enters_map
from tdvfsh.history.painted_map import ACCEPTED_ONLY, PaintedMap
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.trace.records import (
    NO_PARENT,
    AllocatePagesCall,
    AllocatePoolCall,
    FreePagesCall,
    FreePoolCall,
    PageAccept,
    TraceRecord,
)
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import PAGE_SIZE, align_down, pages_for

_UNACCEPTED: Final = int(EfiMemoryType.EfiUnacceptedMemoryType)
_KEPT: Final = frozenset(
    {
        EfiMemoryType.EfiReservedMemoryType,
        EfiMemoryType.EfiRuntimeServicesCode,
        EfiMemoryType.EfiRuntimeServicesData,
        EfiMemoryType.EfiACPIReclaimMemory,
        EfiMemoryType.EfiACPIMemoryNVS,
    }
)
"""Types whose bins stay in the map as a whole: free memory in one passes for the bin's type."""


MapPiece = tuple[int, int, int]
"""``[start, end)`` in bytes, and the memory type that it gets."""


class MapChange(NamedTuple):
    """From record ``after`` on, ``[start, end)`` is of ``memory_type``, because of record ``cause``."""

    after: int
    cause: int
    start: int
    end: int
    memory_type: int


def map_changes(first: Iterable[MemoryDescriptor], records: Sequence[TraceRecord]) -> list[MapChange]:
    """Every change of the map, in order.

    Args:
        first: The map before the first call.
        records: The journal.
    """
    history = _History(first)
    changes: list[MapChange] = []
    for after, record in _in_order_of_completion(records):
        for start, end, memory_type in history.changes_of(record, records):
            history.now.paint(start, end, memory_type)
            changes.append(MapChange(after, record.number, start, end, memory_type))
    return changes


def map_after(first: Iterable[MemoryDescriptor], changes: Iterable[MapChange], number: int) -> PaintedMap:
    """The map when record ``number`` had been made with all that it caused."""
    painted = PaintedMap(first)
    for change in changes:
        if change.after > number:
            break
        painted.paint(change.start, change.end, change.memory_type)
    return painted


def _in_order_of_completion(records: Sequence[TraceRecord]) -> Iterator[tuple[int, TraceRecord]]:
    """Each record after what it caused, with the number of the last record inside it."""
    opened: list[TraceRecord] = []
    last = NO_PARENT
    for record in records:
        while opened and opened[-1].number != record.parent:
            yield last, opened.pop()
        opened.append(record)
        last = record.number
    while opened:
        yield last, opened.pop()


class _History:
    """The map as far as it has been followed, and what the pools hold."""

    def __init__(self, first: Iterable[MemoryDescriptor]) -> None:
        self.first = PaintedMap(first)
        self.now = PaintedMap()
        for piece in self.first:
            self.now.paint(*piece)
        self._pool: dict[int, tuple[int, int]] = {}  # buffer → start, end of its whole pages; (page, 0) for a block
        self._blocks: dict[int, int] = {}  # page that a pool took → blocks in use

    def changes_of(self, record: TraceRecord, records: Sequence[TraceRecord]) -> list[MapPiece]:
        """What a completed call paints."""
        if isinstance(record, PageAccept):
            return self._accepted(record, records)
        if not record.succeeded:
            return []
        match record:
            case AllocatePagesCall():
                return [(*record.range, record.memory_type)]
            case FreePagesCall():
                return self._freed(*record.range)
            case AllocatePoolCall():
                return self._allocate_pool(record.buffer or 0, record.size, record.pool_type)
            case FreePoolCall():
                return self._free_pool(record.buffer)
        return []

    def _accepted(self, record: PageAccept, records: Sequence[TraceRecord]) -> list[MapPiece]:
        accepted = record.accepted
        if accepted is None:
            return []
        value = CONVENTIONAL if enters_map(record, records) else ACCEPTED_ONLY
        return [
            (piece.start, piece.end, value)
            for piece in self.now.pieces(*accepted)
            if piece.memory_type == _UNACCEPTED or (piece.memory_type == ACCEPTED_ONLY != value)
        ]

    def _allocate_pool(self, buffer: int, size: int, pool_type: int) -> list[MapPiece]:
        start = buffer - POOL_HEAD_SIZE
        if size + POOL_OVERHEAD > BLOCK_SIZES[-1]:
            end = start + pages_for(size + POOL_OVERHEAD) * PAGE_SIZE
            self._pool[buffer] = start, end
            return [(start, end, pool_type)]
        page = align_down(start, PAGE_SIZE)
        self._pool[buffer] = page, 0
        if page in self._blocks:
            self._blocks[page] += 1
        elif self.now.at(page) != pool_type or pool_type in _KEPT:
            self._blocks[page] = 1
            return [(page, page + PAGE_SIZE, pool_type)]
        return []

    def _free_pool(self, buffer: int) -> list[MapPiece]:
        start, end = self._pool.pop(buffer, (0, 0))
        if end:
            return self._freed(start, end)
        if start not in self._blocks:
            return []  # firmware's own page, or firmware's own block: it keeps it
        self._blocks[start] -= 1
        if self._blocks[start]:
            return []
        del self._blocks[start]
        return self._freed(start, start + PAGE_SIZE)

    def _freed(self, start: int, end: int) -> list[MapPiece]:
        return [
            (piece.start, piece.end, piece.memory_type if piece.memory_type in _KEPT else CONVENTIONAL)
            for piece in self.first.pieces(start, end)
        ]
