"""The COFF symbols that some EFI programs still carry, such as Debian's shim: names for addresses in reports.

Source: PE format specification, "COFF Symbol Table".
"""

from __future__ import annotations

import struct
from typing import Final

from tdvfsh.dxe.loaded_image import LoadedImage

_NEW_HEADER: Final = 60
_TABLE: Final = 12  # after the signature and machine, sections, time stamp
_SYMBOL: Final = struct.Struct("<8sIhHBB")
_EXTERNAL: Final = 2
_STATIC: Final = 3
_LONGEST: Final = 256


def symbol_at(image: LoadedImage, offset: int) -> str | None:
    """The last symbol at or before ``offset`` from the image's base, as ``name+0x12``; None where there is none.

    Only symbols of the same section count; names that begin with a dot are those of sections.
    """
    if image.pe is None:
        return None
    sections = image.pe.sections
    number = next(
        (
            position
            for position, section in enumerate(sections, 1)
            if 0 <= offset - section.virtual_address < max(section.virtual_size, section.size_of_raw_data)
        ),
        0,
    )
    if not number:
        return None
    place = offset - sections[number - 1].virtual_address
    best: tuple[int, str] | None = None
    for name, value, section_number in _symbols(bytes(image.source)):
        if section_number == number and value <= place and (best is None or value > best[0]):
            best = (value, name)
    return None if best is None else f"{best[1]}+{place - best[0]:#x}"


def symbols_of(image: LoadedImage) -> list[tuple[str, int]]:
    """Name and offset from the image's base of each symbol."""
    if image.pe is None:
        return []
    starts = [section.virtual_address for section in image.pe.sections]
    return [
        (name, starts[section_number - 1] + value)
        for name, value, section_number in _symbols(bytes(image.source))
        if section_number <= len(starts)
    ]


def section_name(data: bytes, name: str) -> str:
    """A section's name; one of more than eight bytes stands in the string table, and its header has ``/OFFSET``."""
    if not name[1:].isdecimal() or name[0] != "/":
        return name
    start, count = _table(data)
    at = start + _SYMBOL.size * count + int(name[1:])
    return data[at : at + _LONGEST].split(b"\0")[0].decode("ascii", "replace") if start else name


def _table(data: bytes) -> tuple[int, int]:
    """Where the symbols begin in the file, and how many there are; zeros for none."""
    if len(data) < _NEW_HEADER + 4:
        return 0, 0
    header = int.from_bytes(data[_NEW_HEADER : _NEW_HEADER + 4], "little")
    table = data[header + _TABLE : header + _TABLE + 8]
    return struct.unpack("<II", table) if len(table) == 8 else (0, 0)


def _symbols(data: bytes) -> list[tuple[str, int, int]]:
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


def _name(data: bytes, raw: bytes, strings: int) -> str:
    """A short name, or one of the string table."""
    if not any(raw[:4]):
        start = strings + int.from_bytes(raw[4:], "little")
        raw = data[start : start + _LONGEST]
    return raw.split(b"\0")[0].decode("ascii", "replace")
