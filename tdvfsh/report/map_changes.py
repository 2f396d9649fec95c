"""The memory map over time, rebuilt from a journal: what each call painted over.

A call's change counts from its last inner call on: an allocation that accepts first is there after the accept.

Source: the pool's pages follow edk2 MdeModulePkg/Core/Dxe/Mem/Pool.c, as :mod:`tdvfsh.dxe.pool` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from tdvfsh.dxe.memory_map import CONVENTIONAL
from tdvfsh.dxe.pool import BLOCK_SIZES, POOL_HEAD_SIZE, POOL_OVERHEAD
from tdvfsh.report.accept_events import accepted_range, enters_map
from tdvfsh.report.painted_map import ACCEPTED_ONLY, PaintedMap, type_of_name
from tdvfsh.trace import NO_PARENT, TraceRecord
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, align_down, pages_for

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
    """Each record behind what it caused, with the number of the last record inside it."""
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

    def changes_of(self, record: TraceRecord, records: Sequence[TraceRecord]) -> list[tuple[int, int, int]]:
        """What a completed call paints."""
        follow = _FOLLOWED.get(record.service)
        if follow is not None:
            failed = record.status is None or record.status.is_error
            return [] if failed else follow(self, record)
        accepted = accepted_range(record)
        if accepted is None:
            return []
        value = CONVENTIONAL if enters_map(record, records) else ACCEPTED_ONLY
        return [
            (piece.start, piece.end, value)
            for piece in self.now.pieces(*accepted)
            if piece.memory_type == _UNACCEPTED or (piece.memory_type == ACCEPTED_ONLY != value)
        ]

    def allocate_pages(self, record: TraceRecord) -> list[tuple[int, int, int]]:
        start, pages = _number(record.results.get("memory")), _number(record.arguments.get("pages"))
        return [(start, start + (pages << PAGE_SHIFT), type_of_name(str(record.arguments.get("memory_type"))))]

    def free_pages(self, record: TraceRecord) -> list[tuple[int, int, int]]:
        start, pages = _number(record.arguments.get("memory")), _number(record.arguments.get("pages"))
        return self._freed(start, start + (pages << PAGE_SHIFT))

    def allocate_pool(self, record: TraceRecord) -> list[tuple[int, int, int]]:
        buffer, size = _number(record.results.get("buffer")), _number(record.arguments.get("size"))
        pool_type = type_of_name(str(record.arguments.get("pool_type")))
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

    def free_pool(self, record: TraceRecord) -> list[tuple[int, int, int]]:
        start, end = self._pool.pop(_number(record.arguments.get("buffer")), (0, 0))
        if end:
            return self._freed(start, end)
        if start not in self._blocks:
            return []  # firmware's own page, or firmware's own block: it keeps it
        self._blocks[start] -= 1
        if self._blocks[start]:
            return []
        del self._blocks[start]
        return self._freed(start, start + PAGE_SIZE)

    def _freed(self, start: int, end: int) -> list[tuple[int, int, int]]:
        return [
            (piece.start, piece.end, piece.memory_type if piece.memory_type in _KEPT else CONVENTIONAL)
            for piece in self.first.pieces(start, end)
        ]


_FOLLOWED: Final = {
    "AllocatePages": _History.allocate_pages,
    "FreePages": _History.free_pages,
    "AllocatePool": _History.allocate_pool,
    "FreePool": _History.free_pool,
}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
