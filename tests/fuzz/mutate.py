"""Mutators: any bytes, and PE images by their fields. All from one ``random.Random``, so that a seed repeats a run."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

_NUMBERS: Final = (
    0, 1, 2, 7, 8, 0x1F, 0x20, 0x28, 0x3F, 0x40, 0x7F, 0x80, 0xFF, 0x100, 0x200, 0x1000, 0x7FFF, 0x8000, 0xFFFF,
    0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF,
    1 << 63, (1 << 64) - 0x1000, (1 << 64) - 1,
)  # fmt: skip
_HOT: Final = 0x260
_LIMIT: Final = 1 << 16

_FILE_FIELDS: Final = ((0, 4), (4, 2), (6, 2), (8, 4), (12, 4), (16, 4), (20, 2), (22, 2))
_OPTIONAL_FIELDS: Final = (
    (24, 2), (40, 4), (44, 4), (48, 4), (52, 4), (56, 4), (60, 4), (68, 2), (70, 2), (72, 4), (80, 4), (84, 4), (88, 4),
    (92, 2), (94, 2), (116, 4), (132, 4),
)  # fmt: skip
_DIRECTORIES: Final = (120, 136)
_SECTION_FIELDS: Final = ((0, 4), (8, 4), (12, 4), (16, 4), (20, 4), (36, 4))


def mutate_bytes(random: Random, data: bytes, others: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """A copy with one to six changes: bits, numbers, tokens, cuts, repetitions, pieces of other inputs."""
    out = bytearray(data)
    for _ in range(1 + int(random.random() ** 3 * 6)):
        size = len(out)
        at = int(random.random() * (min(size, _HOT) if random.random() < 0.6 else size))
        kind = random.random()
        if kind < 0.2 and size:
            out[at] ^= 1 << int(random.random() * 8)
        elif kind < 0.4:
            width = (1, 2, 4, 8)[int(random.random() * 4)]
            number = _NUMBERS[int(random.random() * len(_NUMBERS))] & (1 << 8 * width) - 1
            out[at : at + width] = number.to_bytes(width, "little" if random.random() < 0.8 else "big")
        elif kind < 0.6 and tokens:
            token = tokens[int(random.random() * len(tokens))]
            out[at : at + (len(token) if random.random() < 0.5 else 0)] = token
        elif kind < 0.7 and size:
            out[at] = int(random.random() * 256)
        elif kind < 0.78:
            del out[at : at + 1 + int(random.random() * 32)]
        elif kind < 0.86:
            length = 1 + int(random.random() * 64)
            out[at:at] = out[at : at + length] * (1 + int(random.random() * 3))
        elif kind < 0.93:
            other = others[int(random.random() * len(others))]
            start = int(random.random() * (len(other) or 1))
            length = 1 + int(random.random() * 200)
            out[at : at + length] = other[start : start + length]
        elif random.random() < 0.5:
            del out[at:]
        else:
            del out[:at]
    return bytes(out[:_LIMIT])


def mutate_pe(random: Random, data: bytes, others: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """A copy whose fields got values that mean something: sizes and ends of this very file, and their neighbours."""
    if random.random() < 0.15:
        return mutate_bytes(random, data, others, (b"MZ", b"PE\0\0", b"VZ"))
    out = bytearray(data)
    if len(out) < 64:
        return bytes(out)
    pe = int.from_bytes(out[60:64], "little")
    if pe > len(out) - 8:
        pe = 0x40
    magic = int.from_bytes(out[pe + 24 : pe + 26], "little")
    optional_size = int.from_bytes(out[pe + 20 : pe + 22], "little")
    sections = int.from_bytes(out[pe + 6 : pe + 8], "little")
    table = pe + 24 + optional_size
    headers = int.from_bytes(out[pe + 84 : pe + 88], "little")
    meant = (len(out), headers, table, table - pe, sections, pe, int.from_bytes(out[pe + 80 : pe + 84], "little"))
    for _ in range(1 + int(random.random() ** 2 * 5)):
        at, width = _field(random, pe, table, sections, magic)
        kind = random.random()
        if kind < 0.4:
            value = meant[int(random.random() * len(meant))] + int(random.random() * 5) - 2
        elif kind < 0.75:
            value = _NUMBERS[int(random.random() * len(_NUMBERS))]
        elif kind < 0.9:
            value = int.from_bytes(out[at : at + width], "little") + int(random.random() * 129) - 64
        else:
            value = int(random.random() * (1 << 8 * width))
        out[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    if random.random() < 0.1:
        del out[int(random.random() * len(out)) :]
    return bytes(out[: 1 << 17])


def _field(random: Random, pe: int, table: int, sections: int, magic: int) -> tuple[int, int]:
    """Offset and width of some field."""
    kind = random.random()
    if kind < 0.04:
        return 60, 4
    if kind < 0.25:
        offset, width = _FILE_FIELDS[int(random.random() * len(_FILE_FIELDS))]
        return pe + offset, width
    if kind < 0.55:
        offset, width = _OPTIONAL_FIELDS[int(random.random() * len(_OPTIONAL_FIELDS))]
        return pe + offset, width
    if kind < 0.75:
        first = _DIRECTORIES[magic != 0x10B]
        return pe + first + 4 * int(random.random() * 32), 4
    offset, width = _SECTION_FIELDS[int(random.random() * len(_SECTION_FIELDS))]
    return table + 40 * int(random.random() * min(sections + 1, 8)) + offset, width
