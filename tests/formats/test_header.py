"""Declared headers, held against ``construct``'s reading of the same declarations."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest
from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.formats import tdvf
from tdvfsh.formats.header import U8, U16, U32, U64, Header, octets, padding
from tdvfsh.formats.linux_layout import SETUP_HEADER
from tdvfsh.formats.pe import layout as pe_layout
from tdvfsh.formats.tcg import event_log

NUMBERS: dict[str, Any] = {"B": Int8ul, "H": Int16ul, "I": Int32ul, "Q": Int64ul}
MIXED = {"a": U8, "unused": padding(3), "b": U16, "c": U64, "d": U32, "e": octets(5)}
HEADERS = (
    SETUP_HEADER, pe_layout.DOS_HEADER, pe_layout.FILE_HEADER, pe_layout.OPTIONAL_HEADER32, pe_layout.OPTIONAL_HEADER64,
    pe_layout.TE_HEADER, tdvf.DESCRIPTOR, tdvf.SECTION, event_log.FIRST_EVENT, event_log.SPEC_ID, event_log.ALGORITHM,
    event_log.EVENT, Header(**MIXED),
)  # fmt: skip


def by_construct(header: Header) -> Any:
    """The same declaration for construct, from the form that ``struct`` packs."""
    names = iter(header.names)
    fields: list[Any] = []
    for count, kind in re.findall(r"(\d*)([a-zA-Z])", header._form.format):
        if kind == "x":
            fields.append(Padding(int(count)))
        else:
            fields.append(next(names) / (Bytes(int(count)) if kind == "s" else NUMBERS[kind]))
    return Struct(*fields)


@given(st.sampled_from(HEADERS), st.binary(min_size=200, max_size=200), st.integers(0, 20))
def test_a_header_is_read_and_written_as_construct_does(header: Header, data: bytes, offset: int) -> None:
    peer = by_construct(header)
    parsed = {name: value for name, value in peer.parse(data[offset:]).items() if not name.startswith("_")}
    assert vars(header.read(data, offset)) == parsed
    assert header.build(**parsed) == peer.build(parsed)
    assert header.size == peer.sizeof()


def test_numbers_that_are_left_out_are_zero() -> None:
    assert Header(a=U8, b=U32).build(b=5) == b"\0\5\0\0\0"


def test_a_field_that_is_not_declared_is_refused() -> None:
    with pytest.raises(TypeError, match="no such fields: colour"):
        Header(a=U8).build(colour=1)


def test_bytes_that_do_not_hold_the_header_are_refused() -> None:
    with pytest.raises(struct.error):
        Header(a=U32).read(b"\0\0\0")
