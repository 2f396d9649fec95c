"""Decompression of the format that UEFI defines for option ROMs and firmware files.

Source: UEFI 2.10 chapter 19 (compression algorithm specification).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from tdvfsh.lazy_typing import Final, NamedTuple

_HEADER: Final = struct.Struct("<II")
_LITERALS: Final = 256
_SHORTEST_MATCH: Final = 3
_CODES: Final = 510  # literals and lengths of matches
_POSITION_CODES: Final = 14
_LENGTH_CODES: Final = 19
_LONGEST_CODE: Final = 16
_ZEROS_AFTER: Final = 3  # of the code lengths' own lengths, after which a count of zeros stands


class CompressedSizes(NamedTuple):
    """Bytes of compressed data after the header, and of what it holds."""

    compressed: int
    original: int


class BadCompression(ValueError):
    """Error for data that is not compressed in this format."""


def compressed_sizes(data: bytes) -> CompressedSizes:
    """The sizes that the header of compressed data says.

    Raises:
        BadCompression: There is less data than the header says, or no header.
    """
    if len(data) < _HEADER.size:
        raise BadCompression("no header")
    sizes = CompressedSizes(*_HEADER.unpack_from(data))
    if len(data) < _HEADER.size + sizes.compressed:
        raise BadCompression("the data ends early")
    return sizes


def decompress(data: bytes, after_block: Callable[[], None] = lambda: None) -> bytes:
    """What compressed data holds.

    Args:
        data: The header and the compressed bytes.
        after_block: Called before each block of codes: a caller's way to give up.

    Raises:
        BadCompression: Not such data.
    """
    sizes = compressed_sizes(data)
    bits = _Bits(data[_HEADER.size : _HEADER.size + sizes.compressed])
    out = bytearray()
    left = 0
    codes = positions = _Codes((), 0)
    while len(out) < sizes.original:
        if not left:
            after_block()
            left = bits.take(16)
            if not left:
                raise BadCompression("an empty block")
            lengths = _small_lengths(bits, _LENGTH_CODES, 5, _ZEROS_AFTER)
            codes = _code_lengths(bits, lengths)
            positions = _small_lengths(bits, _POSITION_CODES, 4, None)
        left -= 1
        code = codes.read(bits)
        if code < _LITERALS:
            out.append(code)
            continue
        length = code - _LITERALS + _SHORTEST_MATCH
        distance = positions.read(bits)
        if distance > 1:
            distance = (1 << distance - 1) + bits.take(distance - 1)
        start = len(out) - distance - 1
        if start < 0:
            raise BadCompression("a match before the beginning")
        for at in range(start, start + min(length, sizes.original - len(out))):
            out.append(out[at])
    return bytes(out)


class _Bits:
    """Bits, the highest of a byte first; zeros after the end, as far as a code may look."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = 8 * len(data) + 32

    def peek(self, count: int) -> int:
        """The next bits."""
        first = self._at >> 3
        word = int.from_bytes(self._data[first : first + 4].ljust(4, b"\0"), "big")
        return word >> 32 - count - (self._at & 7) & (1 << count) - 1

    def skip(self, count: int) -> None:
        """Go on."""
        self._at += count
        if self._at > self._end:
            raise BadCompression("the data ends early")

    def take(self, count: int) -> int:
        """The next bits, and go on."""
        value = self.peek(count)
        self.skip(count)
        return value


class _Codes:
    """Canonical Huffman codes, or one value that takes no bits.

    Args:
        lengths: Bits of each value's code, 0 for none.
        only: The value where there are no codes.
    """

    def __init__(self, lengths: Sequence[int], only: int) -> None:
        self._only = only
        self._values: dict[tuple[int, int], int] = {}
        code = 0
        for length in range(1, _LONGEST_CODE + 1):
            for value, bits in enumerate(lengths):
                if bits == length:
                    self._values[length, code] = value
                    code += 1
            if code > 1 << length:
                raise BadCompression("codes that overlap")
            code <<= 1
        self._lengths = sorted({length for length, _ in self._values})

    def read(self, bits: _Bits) -> int:
        """The next value."""
        if not self._values:
            return self._only
        word = bits.peek(_LONGEST_CODE)
        for length in self._lengths:
            value = self._values.get((length, word >> _LONGEST_CODE - length))
            if value is not None:
                bits.skip(length)
                return value
        raise BadCompression("an unknown code")


def _small_lengths(bits: _Bits, most: int, count_bits: int, zeros_after: int | None) -> _Codes:
    """Codes whose lengths are stored as numbers of three bits, or more ones than that."""
    count = bits.take(count_bits)
    if not count:
        return _Codes((), bits.take(count_bits))
    lengths: list[int] = []
    while len(lengths) < min(count, most):
        length = bits.take(3)
        if length == 7:
            while bits.take(1):
                length += 1
        if length > _LONGEST_CODE:
            raise BadCompression("a code that is too long")
        lengths.append(length)
        if len(lengths) == zeros_after:
            lengths += [0] * bits.take(2)
    return _Codes(lengths[:most], 0)


def _code_lengths(bits: _Bits, lengths_of: _Codes) -> _Codes:
    """Codes of literals and lengths, whose lengths are coded themselves."""
    count = bits.take(9)
    if not count:
        return _Codes((), bits.take(9))
    lengths: list[int] = []
    while len(lengths) < min(count, _CODES):
        value = lengths_of.read(bits)
        if value > 2:
            lengths.append(value - 2)
        else:
            lengths += [0] * (1 if value == 0 else bits.take(4) + 3 if value == 1 else bits.take(9) + 20)
    return _Codes(lengths[:_CODES], 0)
