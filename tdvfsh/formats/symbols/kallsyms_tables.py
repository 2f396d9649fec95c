"""Where in a 64-bit x86 Linux kernel the tables of its compressed symbol table stand, and what they say.

No header leads to the tables, so they are found by what they must be. Common to all versions: the token table holds
256 texts that end in NUL, among them the ten digits one after the other, and the token index repeats their offsets;
the number of symbols stands before the names, and after the names, whose lengths chain up, stand markers: the offset of
each 256th name. What the versions have changed since 4.20:

======================= ============================================================================================
up to 6.3               offsets, relative base, number, names, markers, (6.2, and 6.1.y stable: sequence by name,)
                        token table, token index
6.4 to 6.19             number, names, markers, token table, token index, offsets, relative base, sequence by name
7.0 on                  the same without a relative base, aligned to 4 bytes instead of 8
======================= ============================================================================================

And what an offset means: up to 6.14 one that is not negative is an absolute number (per-CPU symbols, which count from
0), any other means ``relative base - 1 - offset``; up to 6.19 it is unsigned and means ``relative base + offset``;
from 7.0 on it is signed and counts from the place where the offset itself stands.

Source: Linux scripts/kallsyms.c (write_src) and kernel/kallsyms.c (kallsyms_sym_address, kallsyms_expand_symbol) of
6.1, 6.12 and 7.0; commits 404bad70fcf7 (order of the tables, 6.4) and a081b5789255 (no relative base, 7.0).
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, islice, pairwise
from operator import le

from tdvfsh.formats.elf import ELF64_HEADER, ELF64_PROGRAM_HEADER, ELF_MAGIC, PT_LOAD
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import KIB, MIB, align_up

_DIGITS: Final = b"0\0001\0002\0003\0004\0005\0006\0007\0008\0009\0"
_BEFORE_DIGITS: Final = ord("0")
_BEFORE_DIGITS_LIMIT: Final = 4 * KIB
_DIGITS_TRIES: Final = 256  # character set tables have such digits too
_TABLE_TRIES: Final = 4
_TOKENS: Final = 256
_TOKEN_TABLE_LIMIT: Final = 64 * KIB  # the index has 16 bits
_INDEX: Final = struct.Struct(f"<{_TOKENS}H")
_STEP: Final = 256  # names from marker to marker
_MARKERS_REACH: Final = 4 * MIB  # with the sequence by name before the token table
_MARKERS_TRIES: Final = 16
_NAME_LIMIT: Final = 600  # bytes of a compressed name, its length included
_NUMBER_TRIES: Final = 8
_SYMBOL_LIMIT: Final = 1 << 20
_KERNEL_HALF: Final = 0xFFFF_8000_0000_0000
_ZERO: Final = bytes(4)
_BASE: Final = "_text"
_BASE_REACH: Final = 64  # names that share the image's first address
_ELF_SEGMENTS: Final = 64


class PackedNames(NamedTuple):
    """Compressed names.

    Attributes:
        stream: They, with their lengths between.
        starts: Where in the stream the name of each symbol begins.
        ends: Where it ends.
        number_at: Where in the image their number stands.
    """

    stream: bytes
    starts: array[int]
    ends: array[int]
    number_at: int


class SymbolTables(NamedTuple):
    """A table that holds together.

    Attributes:
        tokens: What each byte of a packed name stands for.
        names: The packed names; unpacked, the first letter of each is its type.
        addresses: Of each symbol, not descending.
        first: Index of the first symbol at the address of ``_text``; those before are absolute.
    """

    tokens: list[str]
    names: PackedNames
    addresses: array[int]
    first: int


def find_tables(source: ByteSource) -> SymbolTables | None:
    """The symbol tables of an unpacked kernel; None where there are no consistent ones."""
    for tokens, table, index_end in islice(_token_tables(source), _TABLE_TRIES):
        names = _find_names(source, table)
        if names is None:
            continue
        for addresses in _readings(source, names, index_end):
            if all(map(le, addresses, memoryview(addresses)[1:])):
                first = _first_of_image(tokens, names, addresses)
                if first is not None:
                    return SymbolTables(tokens, names, addresses, first)
    return None


def _token_tables(source: ByteSource) -> Iterator[tuple[list[str], int, int]]:
    """(tokens, offset of the table, offset past its index) of whatever looks like a token table.

    Nothing marks where the first token begins if a sequence table without padding stands before it.
    """
    at = -1
    for _ in range(_DIGITS_TRIES):
        at = source.find(_DIGITS, at + 1)
        if at < 0:
            return
        before = source.peek(max(at - _BEFORE_DIGITS_LIMIT, 0), min(at, _BEFORE_DIGITS_LIMIT))
        parts = before.rsplit(b"\0", _BEFORE_DIGITS + 1)
        if len(parts) != _BEFORE_DIGITS + 2 or parts[-1]:
            continue
        lowest = at - sum(len(part) + 1 for part in parts[1:-1])
        for table in range(align_up(lowest, 4), lowest + len(parts[1]), 4):
            found = _token_table(source, table)
            if found is not None:
                yield found[0], table, found[1]


def _token_table(source: ByteSource, table: int) -> tuple[list[str], int] | None:
    """(tokens, offset past the index) of a table that begins at ``table``, if its index follows it."""
    data = source.peek(table, _TOKEN_TABLE_LIMIT)
    tokens = data.split(b"\0", _TOKENS)[:_TOKENS]
    offsets = list(accumulate((len(token) + 1 for token in tokens), initial=0))
    end = offsets.pop()
    if len(tokens) < _TOKENS or offsets[-1] > 0xFFFF:
        return None
    place = data.find(_INDEX.pack(*offsets), end, end + _INDEX.size + 8)
    return ([token.decode("latin-1") for token in tokens], table + place + _INDEX.size) if place >= 0 else None


def _words(data: bytes, form: str = "I") -> array[int]:
    """Little-endian numbers of a table."""
    words = array(form)
    words.frombytes(data[: len(data) // words.itemsize * words.itemsize])
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _find_names(source: ByteSource, table: int) -> PackedNames | None:
    """The names whose markers stand before the token table at ``table``, directly or with 3 bytes a symbol between."""
    start = max(table - _MARKERS_REACH, 0) + table % 4
    data = source.peek(start, table - start)
    found = len(data)
    for _ in range(_MARKERS_TRIES):
        found = data.rfind(_ZERO, 0, found + 3)
        if found < 0:
            return None
        at = found & ~3
        size = len(data) - at
        if data[at : at + 4] == _ZERO:
            words = _words(data[at : at + min(size, 4 * (_SYMBOL_LIMIT // _STEP))])
            run = next((i + 1 for i, (low, high) in enumerate(pairwise(words)) if low >= high), len(words))
            with_sequence = size // (4 + 3 * _STEP)
            for count in (size // 4, size // 4 - 1, with_sequence, with_sequence + 1):
                if 0 < count <= run:
                    names = _names_before(source, start + at, words[:count])
                    if names is not None:
                        return names
    return None


def _names_before(source: ByteSource, end: int, markers: array[int]) -> PackedNames | None:
    """Names that end where the markers begin, at ``end``: their number stands before them."""
    high = end - markers[-1]
    low = max(high - _STEP * _NAME_LIMIT, end % 4)
    low += (end - low) % 4
    numbers = _words(source.peek(low, high - low))
    likely = range(_STEP * (len(markers) - 1) + 1, _STEP * len(markers) + 1)
    places = (index for index in range(len(numbers) - 1, -1, -1) if numbers[index] in likely)
    for index in islice(places, _NUMBER_TRIES):
        number_at = low + 4 * index
        padding = 4 if index + 1 < len(numbers) and not numbers[index + 1] else 0
        names = _chained(source, number_at, number_at + 4 + padding, end, numbers[index], markers)
        if names is not None:
            return names
    return None


def _chained(
    source: ByteSource, number_at: int, at: int, end: int, number: int, markers: array[int]
) -> PackedNames | None:
    """The names of ``[at, end)``, if their lengths lead from marker to marker and to the end."""
    stream = source.peek(at, end - at)
    starts, ends = array("I"), array("I")
    position, size = 0, len(stream)
    for index in range(number):
        if position + 2 > size or (not index % _STEP and markers[index // _STEP] != position):
            return None
        length = stream[position]
        position += 1
        if length >= 0x80:
            length = length & 0x7F | stream[position] << 7
            position += 1
        if not length:
            return None
        starts.append(position)
        position += length
        ends.append(position)
    return PackedNames(stream, starts, ends, number_at) if position <= size and not any(stream[position:]) else None


def _readings(source: ByteSource, names: PackedNames, index_end: int) -> Iterator[array[int]]:
    """Addresses of all symbols, by each place where the offsets could stand.

    A relative base that follows them cannot be mistaken: what else could stand there are small numbers.
    """
    size = 4 * len(names.starts)
    old = names.number_at - 8 - align_up(size, 8)
    for place in dict.fromkeys((align_up(index_end, 8), align_up(index_end, 4), old)):
        if place < 0 or place + size + 8 > source.size:
            continue
        offsets = _words(source.peek(place, size), "i")
        base = int.from_bytes(source.peek(align_up(place + size, 8), 8), "little")
        origin = _address_at(source, place)
        if base >= _KERNEL_HALF and min(offsets) < 0:
            values = [offset if offset >= 0 else base - 1 - offset for offset in offsets]
        elif base >= _KERNEL_HALF:
            values = [base + offset for offset in offsets]
        elif origin is not None and offsets[0] < 0:  # the image begins before its tables
            values = [origin + 4 * index + offset for index, offset in enumerate(offsets)]
        else:
            continue
        if min(values) >= 0 and max(values) < 1 << 64:
            yield array("Q", values)


def _address_at(source: ByteSource, offset: int) -> int | None:
    """The address of a byte of the view: its segment's in an ELF file, else what it counts from the start."""
    head = source.peek(0, ELF64_HEADER.size)
    if len(head) < ELF64_HEADER.size or head[:4] != ELF_MAGIC:
        return offset
    fields = ELF64_HEADER.unpack(head)
    phoff, phentsize, phnum = fields[5], fields[9], fields[10]
    for index in range(min(phnum, _ELF_SEGMENTS)):
        entry = source.peek(phoff + phentsize * index, ELF64_PROGRAM_HEADER.size)
        if len(entry) < ELF64_PROGRAM_HEADER.size:
            return None
        kind, _, start, vaddr, _, filesz, _, _ = ELF64_PROGRAM_HEADER.unpack(entry)
        if kind == PT_LOAD and start <= offset < start + filesz:
            return int(vaddr + offset - start)
    return None


def _first_of_image(tokens: list[str], names: PackedNames, addresses: array[int]) -> int | None:
    """Index of the first symbol at the address of ``_text``, which every kernel has; None where it is not there."""
    for index in _image_starts(addresses):
        for other in range(index, min(index + _BASE_REACH, len(addresses))):
            if addresses[other] != addresses[index]:
                break
            span = names.stream[names.starts[other] : names.ends[other]]
            if "".join(tokens[token] for token in span)[1:] == _BASE:
                return index
    return None


def _image_starts(addresses: array[int]) -> tuple[int, ...]:
    """Where the image's symbols can begin: with the first of all, or after the per-CPU ones."""
    return 0, bisect_left(addresses, _KERNEL_HALF)
