"""What a firmware allocates and frees, from its own list of memory descriptors as it was at each change of it.

edk2's CoreAddRange counts a change before it puts the new descriptor into the list, so that the list read there lacks
the range that is about to change; the next one shows what became of it.

Source: edk2 MdeModulePkg/Core/Dxe/Mem/Page.c (CoreAddRange, CoreConvertPagesEx).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.firmware_calls import FirmwareCall
from tdvfsh.td.footprint import Piece
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import PAGE_SHIFT

_CONVENTIONAL: Final = EfiMemoryType.EfiConventionalMemory

Typed = tuple[int, int, EfiMemoryType]
"""Bytes ``[start, end)`` and their type."""


class MapChange(NamedTuple):
    """Bytes ``[start, end)`` that changed their type; or a step of the caller's own, called ``mark``."""

    start: int
    end: int
    before: EfiMemoryType
    after: EfiMemoryType
    mark: str | None = None

    @property
    def pages(self) -> int:
        """Pages that changed."""
        return (self.end - self.start) >> PAGE_SHIFT


def map_changes(before: Sequence[Typed], maps: Iterable[Sequence[Typed]]) -> list[MapChange]:
    """The changes that lead from ``before`` through ``maps``, in their order.

    Args:
        before: A whole map, ascending.
        maps: Later maps, each without the range that was just changing; the last one whole.

    Returns:
        Changes of the type. What was of another type only while a range was changing is left out.
    """
    state = list(before)
    covered = list(_joined(before))
    waiting: list[tuple[int, int]] = []
    changes: list[MapChange] = []
    for each in maps:
        current = sorted(each)
        starts = [entry[0] for entry in current]
        holes = [hole for span in covered for hole in _holes(current, starts, *span)]
        for start, end in waiting:
            of_one: list[MapChange] = []
            parts = list(_within(current, starts, start, end))
            hidden = _type_under_holes(parts, state, holes)
            for low, high, after in parts:
                after = hidden if after is None else after
                if after is None:
                    continue
                known = [entry[0] for entry in state]
                for at, to, old in list(_within(state, known, low, high)):
                    if old is not None and old != after:
                        of_one.append(MapChange(at, to, old, after))
                state = _with(state, (low, high, after))
            changes += _join_neighbours(of_one)
        waiting = holes
    return changes


def _type_under_holes(
    parts: Sequence[tuple[int, int, EfiMemoryType | None]], state: Sequence[Typed], holes: Sequence[tuple[int, int]]
) -> EfiMemoryType | None:
    """What a range that was changing became, where it is changing again and cannot be seen.

    A change is within one descriptor. So the range has the type of those of its parts that can be seen; or, where all
    of it is changing again, of what is changing together with it.

    Args:
        parts: The range, cut where the map has borders; None where it is changing again.
        state: The map as far as it is known.
        holes: What is changing now.
    """
    seen = {after for _, _, after in parts if after is not None}
    if not seen:
        start, end = parts[0][0], parts[-1][1]
        known = [entry[0] for entry in state]
        for low, high in holes:
            if low <= start and end <= high:
                around = (*_within(state, known, low, start), *_within(state, known, end, high))
                seen = {kind for _, _, kind in around if kind is not None}
    return seen.pop() if len(seen) == 1 else None


def without_detours(before: Sequence[Typed], changes: Sequence[MapChange]) -> list[MapChange]:
    """``changes`` less every stretch at whose end the map is as at its start: buffers that come and go.

    A stretch with a mark in it stays.
    """
    state = _merged(before)
    kept: list[MapChange] = []
    seen = {tuple(state): 0}
    for change in changes:
        kept.append(change)
        state = changed(state, change)
        key = tuple(state)
        if change.mark is not None:
            seen = {key: len(kept)}
        elif key in seen:
            del kept[seen[key] :]
            seen = {known: length for known, length in seen.items() if length <= len(kept)}
        else:
            seen[key] = len(kept)
    return kept


def firmware_calls(changes: Sequence[MapChange], top: int) -> tuple[FirmwareCall, ...]:
    """``changes`` as calls of AllocatePages and FreePages, addresses relative to ``top``."""
    calls: list[FirmwareCall] = []
    owned: list[_Owned] = []
    for change in changes:
        if change.mark is not None:
            calls.append(FirmwareCall(do=change.mark))
        elif change.before == _CONVENTIONAL:
            owned.append(_Owned(change.start, change.end, len(calls), change.start))
            calls.append(FirmwareCall(memory_type=change.after, pages=change.pages))
        elif change.after == _CONVENTIONAL:
            at = change.start
            for part in sorted(part.clipped(change.start, change.end) for part in owned if part.meets(change)):
                if part.start > at:
                    calls.append(FirmwareCall(address=at - top, pages=(part.start - at) >> PAGE_SHIFT))
                calls.append(
                    FirmwareCall(
                        frees=part.call,
                        offset=(part.start - part.allocated_at) >> PAGE_SHIFT,
                        pages=(part.end - part.start) >> PAGE_SHIFT,
                    )
                )
                at = part.end
            if at < change.end:
                calls.append(FirmwareCall(address=at - top, pages=(change.end - at) >> PAGE_SHIFT))
            owned = [left for part in owned for left in part.without(change.start, change.end)]
    return tuple(calls)


class _Owned(NamedTuple):
    """A part, still allocated, of what the call number ``call`` allocated from ``allocated_at`` on."""

    start: int
    end: int
    call: int
    allocated_at: int

    def meets(self, change: MapChange) -> bool:
        return self.start < change.end and change.start < self.end

    def clipped(self, start: int, end: int) -> _Owned:
        return self._replace(start=max(self.start, start), end=min(self.end, end))

    def without(self, start: int, end: int) -> Iterator[_Owned]:
        if start >= self.end or end <= self.start:
            yield self
            return
        if self.start < start:
            yield self._replace(end=start)
        if end < self.end:
            yield self._replace(start=end)


def split_layout(pieces: Sequence[Piece], top: int) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """The pieces at fixed addresses, and those that move with the top of low RAM, relative to it.

    The largest Conventional piece lies between the two and belongs to neither.
    """
    low = [piece for piece in pieces if piece.end <= top]
    middle = max(
        (piece for piece in low if piece.memory_type == _CONVENTIONAL), key=lambda piece: piece.end - piece.start
    )
    fixed = tuple(piece for piece in low if piece.end <= middle.start)
    moving = tuple(
        piece._replace(start=piece.start - top, end=piece.end - top) for piece in low if piece.start >= middle.end
    )
    return fixed, moving


def changed(entries: Sequence[Typed], change: MapChange) -> list[Typed]:
    """The map after ``change``, neighbours of one type as one."""
    if change.start == change.end:
        return list(entries)
    return _merged(_with(entries, (change.start, change.end, change.after)))


def _joined(entries: Sequence[Typed]) -> Iterator[tuple[int, int]]:
    start = end = -1
    for low, high, _ in sorted(entries):
        if low != end:
            if end > start:
                yield start, end
            start = low
        end = high
    if end > start:
        yield start, end


def _within(
    entries: Sequence[Typed], starts: Sequence[int], start: int, end: int
) -> Iterator[tuple[int, int, EfiMemoryType | None]]:
    """``[start, end)`` cut at the entries' borders, with each part's type; None where no entry is."""
    at = start
    for low, high, kind in entries[max(0, bisect_right(starts, start) - 1) :]:
        if high <= at:
            continue
        if low >= end:
            break
        if low > at:
            yield at, low, None
            at = low
        yield at, min(high, end), kind
        at = min(high, end)
    if at < end:
        yield at, end, None


def _holes(entries: Sequence[Typed], starts: Sequence[int], start: int, end: int) -> Iterator[tuple[int, int]]:
    for low, high, kind in _within(entries, starts, start, end):
        if kind is None:
            yield low, high


def _with(entries: Sequence[Typed], new: Typed) -> list[Typed]:
    start, end, _ = new
    out: list[Typed] = []
    for low, high, kind in entries:
        if high <= start or low >= end:
            out.append((low, high, kind))
            continue
        if low < start:
            out.append((low, start, kind))
        if high > end:
            out.append((end, high, kind))
    out.append(new)
    return sorted(out)


def _merged(entries: Sequence[Typed]) -> list[Typed]:
    """The same with neighbours of one type as one."""
    merged: list[Typed] = []
    for start, end, kind in entries:
        if merged and merged[-1][1] == start and merged[-1][2] == kind:
            merged[-1] = (merged[-1][0], end, kind)
        else:
            merged.append((start, end, kind))
    return merged


def _join_neighbours(changes: Sequence[MapChange]) -> list[MapChange]:
    joined: list[MapChange] = []
    for change in changes:
        last = joined[-1] if joined else None
        if last is not None and last.end == change.start and last[2:] == change[2:]:
            joined[-1] = last._replace(end=change.end)
        else:
            joined.append(change)
    return joined
