"""The DXE core's own list of memory descriptors, read out of the memory of firmware that runs.

GetMemoryMap hides which pages of a bin are free and joins what access capabilities keep apart; this list does not.

Source: edk2 MdeModulePkg/Core/Dxe/Mem/Imem.h (MEMORY_MAP) and Page.c (gMemoryMap, mMemoryMapKey,
mMemoryTypeStatistics).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import pairwise

from tdvfsh.engine.board.board import Board
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.footprint import Piece
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import MIB, PAGE_SHIFT, PAGE_SIZE

_SIGNATURE: Final = int.from_bytes(b"mmap", "little")
_ENTRY: Final = struct.Struct("<QQQB3xIQQQQ")
"""Signature, next and previous link, whether from a page, type, first and last byte, virtual start, attribute."""
_TYPES: Final = tuple(sorted(EfiMemoryType))
_LINK: Final = 8
_FEWEST: Final = 8
_MOST: Final = 4096
_PIECE: Final = 4 * MIB
_STATISTICS: Final = struct.Struct("<QQQQQBB6x")
"""Base, last byte, pages in use, pages of the bin, place in the list of sizes, whether a bin, whether runtime."""
_INCREMENT: Final = re.compile(rb"\x48\xff\x05....|\x48\x83\x05....\x01", re.DOTALL)
"""``inc qword`` and ``add qword, 1`` of a variable that is addressed by RIP: counters, the map key among them."""
_MOST_IMAGE: Final = 4 * MIB


class CoreMap(NamedTuple):
    """Place of a DXE core's memory map.

    Attributes:
        head: Address of the list's head.
        image: Address of the core's image.
        size: Its bytes.
    """

    head: int
    image: int
    size: int


def find_core_map(board: Board) -> CoreMap | None:
    """The list whose entries are a whole map; None before the DXE core has made one."""
    view, end = board.ram.view, board.td.ram.low.end
    needle = struct.pack("<Q", _SIGNATURE)
    pieces = [piece for low, high in board.ram.runs for piece in board.ram.touched(low, min(high, end))]
    for start, stop in reversed(pieces):
        for at in range(start, stop, _PIECE):
            data = bytes(view[at : min(at + _PIECE, stop)])
            found = data.find(needle)
            while found >= 0:
                head = _head_of(view, end, at + found) if found % 8 == 0 else None
                image = None if head is None else _image_around(view, head)
                if head is not None and image is not None:
                    return CoreMap(head, *image)
                found = data.find(needle, found + 8)
    return None


def read_core_map(board: Board, core: CoreMap) -> list[Piece]:
    """The descriptors, ascending; while the core is changing one, it is not among them."""
    return sorted(_walk(board.ram.view, core.head))


def change_sites(board: Board, core: CoreMap) -> list[int]:
    """Addresses of the core's instructions that count something, one of which counts changes of the map."""
    code = bytes(board.ram.view[core.image : core.image + core.size])
    sites = []
    for match in _INCREMENT.finditer(code):
        target = match.end() + struct.unpack_from("<i", code, match.start() + 3)[0]
        if 0 <= target < core.size and target % 8 == 0:
            sites.append(core.image + match.start())
    return sites


def read_bins(board: Board, core: CoreMap) -> list[tuple[EfiMemoryType, int, int]]:
    """The memory type bins in the order of their list: ``(type, first byte, pages)``; empty where none are found."""
    data = bytes(board.ram.view[core.image : core.image + core.size])
    count = EfiMemoryType.EfiUnacceptedMemoryType
    for at in range(0, core.size - count * _STATISTICS.size, 8):
        rows = [_STATISTICS.unpack_from(data, at + number * _STATISTICS.size) for number in range(count)]
        if _are_statistics(rows):
            bins = [(row[4], _TYPES[number], row[0], row[3]) for number, row in enumerate(rows) if row[3]]
            return [(kind, base, pages) for _, kind, base, pages in sorted(bins)]
    return []


def _are_statistics(rows: list[tuple[int, ...]]) -> bool:
    code, data = (rows[kind] for kind in (EfiMemoryType.EfiRuntimeServicesCode, EfiMemoryType.EfiRuntimeServicesData))
    if (code[5], code[6], data[5], data[6]) != (1, 1, 1, 1):
        return False
    return all(
        row[5] < 2 and row[6] < 2 and (not row[3] or row[1] + 1 - row[0] == row[3] << PAGE_SHIFT) for row in rows
    ) and bool(code[3])


def _walk(view: memoryview, head: int) -> Iterator[Piece]:
    at = struct.unpack_from("<Q", view, head)[0]
    for _ in range(_MOST):
        if at == head:
            return
        signature, following, _, _, kind, start, last, _, attribute = _ENTRY.unpack_from(view, at - _LINK)
        if signature != _SIGNATURE:
            return
        yield Piece(start, last + 1, _TYPES[kind], attribute)
        at = following


def _head_of(view: memoryview, end: int, entry: int) -> int | None:
    """The head of the list that ``entry`` is in, if all of it is one map."""
    at = first = entry + _LINK
    head = None
    for count in range(_MOST):
        following = struct.unpack_from("<Q", view, at)[0]
        if not _LINK <= following < end - _ENTRY.size or following % 8:
            return None
        if struct.unpack_from("<Q", view, following + 8)[0] != at:
            return None
        if struct.unpack_from("<Q", view, following - _LINK)[0] != _SIGNATURE:
            if head is not None:
                return None
            head = following
        at = following
        if at == first:
            return head if head is not None and count >= _FEWEST and _is_map(view, head, end) else None
    return None


def _is_map(view: memoryview, head: int, end: int) -> bool:
    try:
        entries = sorted(_walk(view, head))
    except IndexError:  # not a memory type
        return False
    in_order = all(low.end <= high.start for low, high in pairwise(entries))
    sane = all(entry.start < entry.end and not (entry.start | entry.end) % PAGE_SIZE for entry in entries)
    return in_order and sane and sum(entry.end - entry.start for entry in entries) > end // 4


def _image_around(view: memoryview, address: int) -> tuple[int, int] | None:
    """Start and size of the PE image that holds ``address``."""
    base = address & -PAGE_SIZE
    while base > max(0, address - _MOST_IMAGE):
        if bytes(view[base : base + 2]) == b"MZ":
            header = base + struct.unpack_from("<I", view, base + 0x3C)[0]
            if header < base + PAGE_SIZE and bytes(view[header : header + 4]) == b"PE\0\0":
                size = struct.unpack_from("<I", view, header + 0x50)[0]
                return (base, size) if base + size > address else None
        base -= PAGE_SIZE
    return None
