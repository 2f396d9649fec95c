from __future__ import annotations

import pytest
from construct import Int8ul, Int16ub, Int16ul, Int32ul, Int64ul, Padding, Struct
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.formats.linux_layout import SETUP_HEADER
from tdvfsh.formats.pe import layout as pe_layout
from tdvfsh.formats.records import read_record

MIXED = Struct("a" / Int8ul, Padding(3), "b" / Int16ul, "c" / Int64ul, "d" / Int32ul)
DECLARATIONS = (
    MIXED, SETUP_HEADER, pe_layout.DOS_HEADER, pe_layout.FILE_HEADER, pe_layout.OPTIONAL_HEADER32,
    pe_layout.OPTIONAL_HEADER64, pe_layout.TE_HEADER,
)  # fmt: skip


@given(st.sampled_from(DECLARATIONS), st.binary(min_size=200, max_size=200), st.integers(0, 20))
def test_a_record_reads_as_its_declaration_parses(declaration: Struct, data: bytes, offset: int) -> None:
    parsed = {name: value for name, value in declaration.parse(data[offset:]).items() if isinstance(value, int)}
    assert vars(read_record(declaration, data, offset)) == parsed


def test_a_declaration_of_another_byte_order_is_no_record() -> None:
    with pytest.raises(AssertionError):
        read_record(Struct("a" / Int16ub), bytes(2))
