"""Painting ranges over one another."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.history.painted_map import ACCEPTED_ONLY, HOLE, PaintedMap, Piece, type_label
from tdvfsh.trace.fields import memory_type_of
from tdvfsh.uefi.memory import MemoryDescriptor

_SIZE = 24
_STROKES = st.lists(st.tuples(st.integers(0, _SIZE), st.integers(0, _SIZE), st.integers(-1, 2)), max_size=30)


@given(_STROKES)
def test_it_is_what_painting_every_address_by_itself_gives(strokes: list[tuple[int, int, int]]) -> None:
    painted, cells = PaintedMap(), [HOLE] * (_SIZE + 1)
    for start, end, value in strokes:
        painted.paint(start, end, value)
        cells[start:end] = [value] * max(end - start, 0)
    assert [painted.at(address) for address in range(_SIZE + 1)] == cells
    pieces = list(painted)
    assert all(cells[address] == piece.memory_type for piece in pieces for address in range(piece.start, piece.end))
    assert all(one.end < two.start or one.memory_type != two.memory_type for one, two in pairwise(pieces))
    whole = painted.pieces(3, 20)
    assert [piece.start for piece in whole[1:]] == [piece.end for piece in whole[:-1]]
    assert (whole[0].start, whole[-1].end) == (3, 20)


def test_descriptors_are_painted_up_to_the_last_address() -> None:
    last = (1 << 64) - 0x1000
    painted = PaintedMap(
        [MemoryDescriptor(7, 0, 2, 0), MemoryDescriptor(7, 0x2000, 1, 15), MemoryDescriptor(0, last, 1, 0)]
    )
    assert list(painted) == [Piece(0, 0x3000, 7), Piece(last, 1 << 64, 0)]


def test_types_have_the_names_of_memmap_and_numbers_where_they_have_none() -> None:
    assert type_label(7) == "Available"
    assert type_label(0x80000001) == "0x80000001"
    assert type_label(ACCEPTED_ONLY) == "Accepted only"
    assert memory_type_of("EfiLoaderData") == 2
    assert memory_type_of("0x80000001") == 0x80000001
    with pytest.raises(ValueError, match="nonsense"):
        memory_type_of("nonsense")
