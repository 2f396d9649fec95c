"""Names for addresses, from the symbol tables of programs that carry one."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.introspect.coff_symbols import symbol_at
from tests.engine.assembler import pe_image
from tests.engine.programs import guest, load

TEXT = 0x1000
POINTER = 64 + 12  # of the assembler's header


def symbol(name: bytes, value: int, section: int = 1, storage: int = 2, auxiliary: int = 0) -> bytes:
    return struct.pack("<8sIhHBB", name, value, section, 0, storage, auxiliary)


def loaded(*symbols: bytes, strings: bytes = b"") -> LoadedImage:
    """An image of 0x100 bytes of code with a symbol table after it."""
    image = bytearray(pe_image(bytes(0x100)))
    count = sum(len(one) for one in symbols) // 18
    struct.pack_into("<II", image, POINTER, len(image), count)
    data = bytes(image) + b"".join(symbols) + struct.pack("<I", 4 + len(strings)) + strings
    with guest() as (firmware, _):
        found = firmware.services.images.loaded_image(load(firmware, data))
        assert found is not None
        return found


@pytest.mark.parametrize(
    ("offset", "name"),
    [(TEXT, None), (TEXT + 0x10, "first+0x0"), (TEXT + 0x1F, "first+0xf"), (TEXT + 0x20, "a_long_name+0x0")],
)
def test_an_address_belongs_to_the_last_symbol_before_it(offset: int, name: str | None) -> None:
    image = loaded(
        symbol(b".text", 0, storage=3, auxiliary=1), bytes(18), symbol(struct.pack("<II", 0, 4), 0x20),
        symbol(b"first", 0x10), symbol(b"elsewhere", 0x18, section=2), symbol(b"absolute", 0x18, section=-1),
        symbol(b"label", 0x18, storage=6), strings=b"a_long_name\0",
    )  # fmt: skip
    assert symbol_at(image, offset) == name


def test_outside_of_sections_and_without_a_table_there_is_no_symbol() -> None:
    assert symbol_at(loaded(symbol(b"first", 0)), 0x800) is None
    assert symbol_at(loaded(), TEXT) is None


_IMAGE = loaded(symbol(b"first", 0))


@given(st.binary(max_size=80), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
def test_no_table_however_broken_does_harm(table: bytes, pointer: int, count: int) -> None:
    data = bytearray(bytes(_IMAGE.source) + table)
    struct.pack_into("<II", data, POINTER, pointer, count)
    found = symbol_at(replace(_IMAGE, source=memoryview(bytes(data))), TEXT)
    assert found is None or "+0x" in found
