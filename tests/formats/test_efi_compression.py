"""UEFI's own compression: made data, and data that is damaged."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.formats.efi_compression import BadCompression, compressed_sizes, decompress


class Bits:
    """Bits that are written, the highest of a byte first."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, count: int) -> None:
        self.text += format(value, f"0{count}b") if count else ""

    def bytes(self) -> bytes:
        padded = self.text.ljust(-(-len(self.text) // 8) * 8, "0")
        return bytes(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))


def packed(data: bytes, matches: dict[int, tuple[int, int]] | None = None) -> bytes:
    """Data in one block whose literals and lengths have codes of nine bits; matches by position: distance, length."""
    matches = matches or {}
    symbols: list[tuple[int, int | None]] = []
    at = 0
    while at < len(data):
        if at in matches:
            back, length = matches[at]
            symbols.append((256 + length - 3, back))
            at += length
        else:
            symbols.append((data[at], None))
            at += 1
    bits = Bits()
    bits.put(len(symbols), 16)
    bits.put(0, 5)  # every code length's code is the same value: a length of 9
    bits.put(11, 5)
    bits.put(510, 9)
    bits.put(14, 4)  # fourteen positions of four bits
    for _ in range(14):
        bits.put(4, 3)
    for symbol, distance in symbols:
        bits.put(symbol, 9)
        if distance is not None:
            back = distance - 1
            number = back if back < 2 else back.bit_length()
            bits.put(number, 4)
            if number > 1:
                bits.put(back - (1 << number - 1), number - 1)
    body = bits.bytes()
    return struct.pack("<II", len(body), len(data)) + body


def test_literals_and_matches_come_back() -> None:
    data = b"abcabcabcabcx" + bytes(range(256)) + b"abcabc"
    assert decompress(packed(data)) == data
    matches = {3: (3, 9), len(data) - 6: (len(data) - 6, 6)}
    assert decompress(packed(data, matches)) == data


@given(st.binary(max_size=400))
def test_any_bytes_come_back(data: bytes) -> None:
    assert decompress(packed(data)) == data


def test_nothing_is_nothing_and_a_header_says_the_sizes() -> None:
    assert decompress(bytes(8)) == b""
    assert compressed_sizes(packed(b"abc")).original == 3


@pytest.mark.parametrize(
    "data",
    [b"", bytes(7), struct.pack("<II", 9, 1), struct.pack("<II", 4, 1) + bytes(4), packed(b"aaaa", {0: (1, 4)})],
)
def test_what_is_not_such_data_is_refused(data: bytes) -> None:
    with pytest.raises(BadCompression):
        decompress(data)


@given(st.binary(max_size=60), st.integers(0, 2000))
def test_damaged_data_is_refused_or_of_the_size_that_it_says(body: bytes, size: int) -> None:
    with suppress(BadCompression):
        assert len(decompress(struct.pack("<II", len(body), size) + body)) == size
