"""The memory map as bars in a terminal: RAM row by row to scale, and how much of it is of which type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tdvfsh.history.painted_map import HOLE, PaintedMap, type_label
from tdvfsh.lazy_typing import Final
from tdvfsh.report.table import table_lines
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import PAGE_SIZE, align_up, human_size

_ROWS: Final = 16
_NARROWEST: Final = 20
_BLOCKS: Final = {
    EfiMemoryType.EfiConventionalMemory: "░", EfiMemoryType.EfiUnacceptedMemoryType: "·",
    EfiMemoryType.EfiLoaderCode: "█", EfiMemoryType.EfiLoaderData: "▓", EfiMemoryType.EfiBootServicesCode: "▞",
    EfiMemoryType.EfiBootServicesData: "▒",
}  # fmt: skip
_LETTERS: Final = {
    EfiMemoryType.EfiReservedMemoryType: "V", EfiMemoryType.EfiLoaderCode: "L", EfiMemoryType.EfiLoaderData: "l",
    EfiMemoryType.EfiBootServicesCode: "B", EfiMemoryType.EfiBootServicesData: "b",
    EfiMemoryType.EfiRuntimeServicesCode: "R", EfiMemoryType.EfiRuntimeServicesData: "r",
    EfiMemoryType.EfiConventionalMemory: "=", EfiMemoryType.EfiUnusableMemory: "X",
    EfiMemoryType.EfiACPIReclaimMemory: "a", EfiMemoryType.EfiACPIMemoryNVS: "A",
    EfiMemoryType.EfiMemoryMappedIO: "m", EfiMemoryType.EfiMemoryMappedIOPortSpace: "p",
    EfiMemoryType.EfiPalCode: "P", EfiMemoryType.EfiPersistentMemory: "s",
    EfiMemoryType.EfiUnacceptedMemoryType: ".",
}  # fmt: skip
_OTHER: Final = "?"
_BAR: Final = ("█", "#")


def plot_lines(
    descriptors: Iterable[MemoryDescriptor],
    ram: Sequence[tuple[int, int]],
    width: int,
    *,
    blocks: bool,
    rows: int = _ROWS,
) -> list[str]:
    """Bars that fit into ``width`` columns.

    A cell shows the type that fills most of it; a stretch of one type alone is left out and said in words.

    Args:
        descriptors: The map.
        ram: Spans of RAM, half-open, in bytes.
        width: Columns.
        blocks: Whether block characters can be shown; else letters.
        rows: Rows for each span of RAM that holds more than one type.
    """
    painted = PaintedMap(descriptors)
    cells = max(_NARROWEST, width - 14)
    lines = []
    for start, end in ram:
        lines += _span_lines(painted, start, end, cells, rows, blocks=blocks)
    return [*lines, "", *_type_lines(painted, ram, width, blocks=blocks)]


def _span_lines(painted: PaintedMap, start: int, end: int, cells: int, rows: int, *, blocks: bool) -> list[str]:
    """One span in rows; from where only one type follows, one line says so."""
    pieces = painted.pieces(start, end)
    tail = pieces[-1]
    shown_end = min(end, tail.start + (tail.start - start) // 8) if len(pieces) > 1 else start
    cell = max(PAGE_SIZE, align_up(-(-(shown_end - start) // (cells * rows)), PAGE_SIZE))
    lines = []
    at = start
    while at < shown_end:
        row = [
            _mark(painted, at + index * cell, min(at + (index + 1) * cell, end), blocks=blocks)
            for index in range(cells)
        ]
        lines.append(f"{at:>12x}  {''.join(row).rstrip()}")
        at += cells * cell
    if len(pieces) > 1:
        lines.insert(0, f"{'':12}  {human_size(cell)} a cell")
    if at < end:
        lines.append(f"{at:>12x}  {human_size(end - at)} of {type_label(tail.memory_type)} up to {end - 1:x}")
    return lines


def _mark(painted: PaintedMap, start: int, end: int, *, blocks: bool) -> str:
    if start >= end:
        return " "
    sizes: dict[int, int] = {}
    for piece in painted.pieces(start, end):
        sizes[piece.memory_type] = sizes.get(piece.memory_type, 0) + piece.end - piece.start
    return mark_of(max(sizes, key=sizes.__getitem__), blocks=blocks)


def mark_of(memory_type: int, *, blocks: bool) -> str:
    """The character that stands for a memory type."""
    if memory_type == HOLE:
        return " "
    marks = {**_LETTERS, **_BLOCKS} if blocks else _LETTERS
    return marks.get(memory_type, _OTHER)  # type: ignore[call-overload, no-any-return]


def _type_lines(painted: PaintedMap, ram: Sequence[tuple[int, int]], width: int, *, blocks: bool) -> list[str]:
    sizes: dict[int, int] = {}
    for start, end in ram:
        for piece in painted.pieces(start, end):
            if piece.memory_type != HOLE:
                sizes[piece.memory_type] = sizes.get(piece.memory_type, 0) + piece.end - piece.start
    whole = sum(sizes.values()) or 1
    rows = [
        (mark_of(kind, blocks=blocks), type_label(kind), human_size(size), f"{size * 100 / whole:.1f} %", "")
        for kind, size in sorted(sizes.items(), key=lambda item: -item[1])
    ]
    heads = table_lines(rows, "  >>", indent="  ")
    room = max(8, width - max((len(line) for line in heads), default=0) - 4)
    bar = _BAR[0] if blocks else _BAR[1]
    return [
        f"{line:<{width - room - 2}}  {bar * max(1, round(size * room / whole))}"
        for line, (_, size) in zip(heads, sorted(sizes.items(), key=lambda item: -item[1]), strict=True)
    ]
