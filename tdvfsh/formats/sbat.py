"""SBAT: what an image says of its components' security generations, and the level below which shim refuses them.

Both are lines of comma-separated values: ``component,generation,vendor,package,version,url`` in an image's ``.sbat``
section, ``component,generation[,date]`` in shim's variable SbatLevel and in its ``.sbatlevel`` section.

Source: rhboot/shim SBAT.md, sbat.c (parse_sbat_section, parse_sbat_var_data, verify_single_entry), csv.c, sbat_var.S at
its head of July 2026.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.lazy_typing import Final, NamedTuple

SBAT_SECTION: Final = ".sbat"
_SECTION_COLUMNS: Final = 6
_LEVEL_COLUMNS: Final = 2
_LARGEST: Final = 64 * 1024
_NUMBER: Final = re.compile(rb"\s*[+-]?\d{1,9}")
_PAYLOADS: Final = struct.Struct("<III")  # format version, offsets of two payloads from the second field


class SbatEntry(NamedTuple):
    """A component and its generation; one that is not a number counts as 0."""

    component: str
    generation: int


def parse_sbat(data: bytes, columns: int = _SECTION_COLUMNS) -> list[SbatEntry] | None:
    """The entries of a section, or of a level, which has fewer columns; None where shim finds them malformed."""
    entries = []
    for line in re.split(rb"[\r\n]+", data.split(b"\0")[0]):
        if not line:
            continue
        values = line.split(b",")[:columns]
        if len(values) < columns or not all(values):
            return None
        number = _NUMBER.match(values[1])
        generation = (int(number[0]) if number else 0) & 0xFFFF
        entries.append(SbatEntry(values[0].decode("utf-8", "replace"), generation))
    return entries


def sbat_level(data: bytes) -> list[SbatEntry]:
    """The entries of a level; none where it is malformed, as shim goes on without one."""
    return parse_sbat(data, _LEVEL_COLUMNS) or []


def sbat_section(pe: PeImage, view: Buffer | ByteSource) -> bytes | None:
    """An image's ``.sbat`` section; None where it has none that shim reads."""
    found = [section for section in pe.sections if section.name == SBAT_SECTION]
    if len(found) != 1 or not found[0].size_of_raw_data or found[0].size_of_raw_data < found[0].virtual_size:
        return None
    section = found[0]
    return bytes(ByteSource(view, "").peek(section.pointer_to_raw_data, min(section.size_of_raw_data, _LARGEST)))


def automatic_level(section: bytes) -> bytes:
    """The level that a shim sets by itself, from its ``.sbatlevel`` section; empty where there is none."""
    if len(section) < _PAYLOADS.size:
        return b""
    _, automatic, _ = _PAYLOADS.unpack_from(section)
    return section[4 + automatic :].split(b"\0")[0]


def newer_level(one: bytes, other: bytes) -> bytes:
    """The level with the later version and date, which stand in the first line; ``one`` where they are equal."""
    return other if _age(other) > _age(one) else one


def revoked(entries: Sequence[SbatEntry], level: Sequence[SbatEntry]) -> str:
    """Why a level revokes an image with these entries, or nothing."""
    least = dict(reversed([(entry.component, entry.generation) for entry in level]))
    for component, generation in entries:
        if generation < least.get(component, 0):
            return f"SBAT: {component} is of generation {generation}, and {least[component]} is the least allowed"
    return ""


def _age(level: bytes) -> tuple[int, bytes, bytes]:
    """What shim compares: the length of the version, the version, the date."""
    _, version, date, *_ = [*level.split(b"\n")[0].split(b","), b"", b""]
    return len(version), version, date[:10]
