"""COFF symbols of a PE image, and names of sections that are longer than the eight bytes of a section header.

Source: Microsoft PE format specification, "COFF Symbol Table" and "COFF String Table".
"""

from __future__ import annotations

import struct

from tdvfsh.formats.mapped import Buffer
from tdvfsh.lazy_typing import Final

_NEW_HEADER: Final = 60
_TABLE: Final = 12  # after the signature and machine, sections, time stamp
_SYMBOL: Final = struct.Struct("<8sIhHBB")
_EXTERNAL: Final = 2
_STATIC: Final = 3
_LONGEST: Final = 256


def section_name(data: Buffer, name: str) -> str:
    """A section's name; one of more than eight bytes stands in the string table, and its header has ``/OFFSET``."""
    if name[:1] != "/" or not name[1:].isdecimal():
        return name
    start, count = _table(data)
    at = start + _SYMBOL.size * count + int(name[1:])
    return _text(data, at) if start else name


def _table(data: Buffer) -> tuple[int, int]:
    """Where the symbols begin in the file, and how many there are; zeros for none."""
    if len(data) < _NEW_HEADER + 4:
        return 0, 0
    header = int.from_bytes(data[_NEW_HEADER : _NEW_HEADER + 4], "little")
    table = data[header + _TABLE : header + _TABLE + 8]
    return struct.unpack("<II", table) if len(table) == 8 else (0, 0)


def coff_symbols(data: Buffer) -> list[tuple[str, int, int]]:
    """Name, value and section number of every symbol; as far as the file goes."""
    start, count = _table(data)
    strings = start + _SYMBOL.size * count
    found: list[tuple[str, int, int]] = []
    at = start
    while start and at + _SYMBOL.size <= min(strings, len(data)):
        raw, value, section_number, _, storage, auxiliary = _SYMBOL.unpack_from(data, at)
        at += _SYMBOL.size * (1 + auxiliary)
        if section_number > 0 and storage in (_EXTERNAL, _STATIC):
            name = _name(data, raw, strings)
            if name and not name.startswith("."):
                found.append((name, value, section_number))
    return found


def _name(data: Buffer, raw: bytes, strings: int) -> str:
    """A short name, or one of the string table."""
    if not any(raw[:4]):
        start = strings + int.from_bytes(raw[4:], "little")
        return _text(data, start)
    return raw.split(b"\0")[0].decode("ascii", "replace")


def _text(data: Buffer, at: int) -> str:
    return bytes(data[at : at + _LONGEST]).split(b"\0")[0].decode("ascii", "replace")
