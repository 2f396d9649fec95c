"""Guest memory in a file: the pages that are not zero, and what the processor sees of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.formats import shapes
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import BinaryIO, Final, Protocol
from tdvfsh.units import PAGE_SIZE

MAPPED: Final = shapes.ranges(shapes.row(shapes.NUMBER, shapes.NUMBER), PAGE_SIZE)
PAGES: Final = shapes.ranges(shapes.row(shapes.NUMBER, shapes.NUMBER), PAGE_SIZE)
_ZERO: Final = bytes(PAGE_SIZE)
_PIECE: Final = 1 << 20


class Sink(Protocol):
    """Takes bytes."""

    def write(self, data: bytes) -> object:
        """Some bytes."""
        ...


def write_pages(ram: GuestRam, out: Sink) -> list[list[int]]:
    """Write all pages that are not zero, one after the other; returns the ranges that they are.

    Only memory that was ever touched is looked through.
    """
    ranges: list[list[int]] = []
    for low, high in ram.touched(0, ram.end):
        data = bytes(ram.view[low:high])
        for at in range(0, len(data), PAGE_SIZE):
            page = data[at : at + PAGE_SIZE]
            if page == _ZERO:
                continue
            out.write(page)
            if ranges and ranges[-1][1] == low + at:
                ranges[-1][1] += len(page)
            else:
                ranges.append([low + at, low + at + len(page)])
    return ranges


def read_pages(ram: GuestRam, ranges: Sequence[Sequence[int]], source: BinaryIO) -> None:
    """Fill memory with what :func:`write_pages` wrote; all else is zero.

    Raises:
        FieldError: The ranges lie outside of memory, or there are fewer bytes.
    """
    if ranges and ranges[-1][1] > ram.end:
        raise FieldError("pages", f"reach {ranges[-1][1]:#x}, beyond the machine's memory")
    ram.zero(0, ram.end)
    for start, end in ranges:
        for at, size in _pieces(start, end):
            data = source.read(size)
            if len(data) != size:
                raise FieldError("pages", "are more than the file has")
            ram.view[at : at + size] = data


def _pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    for at in range(start, end, _PIECE):
        yield at, min(_PIECE, end - at)


def map_runs(board: Board, runs: Sequence[Sequence[int]], accepted: int) -> None:
    """Let the processor see these runs of memory and no others.

    Raises:
        FieldError: Something in them is not accepted.
    """
    ram = board.ram
    ram.refresh()
    for start, end in runs:
        if not ram.accepted(start, end - start):
            raise FieldError("mapped", f"has [{start:#x}, {end:#x}), which is not accepted")
    board.cpu.mapped.map_only([(start, end) for start, end in runs])
    board._hardware.accepted = accepted
