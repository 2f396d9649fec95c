"""The PE loader's rules once more, each as one statement on the file's bytes, in the order in which firmware checks.

Shares no code with :mod:`tdvfsh.formats.pe.parse`. TE images have rules of their own and are not judged.

Source: edk2 MdePkg/Library/BasePeCoffLib/BasePeCoff.c (PeCoffLoaderGetPeHeader, PeCoffLoaderGetImageInfo).
"""

from __future__ import annotations

from typing import NamedTuple

READ, MACHINE, UNSUPPORTED, NO_TAG = 1, 3, 11, 0
_END = 1 << 32


class NaiveVerdict(NamedTuple):
    """``image_error`` is None for an image that is accepted."""

    image_error: int | None
    image_size: int = 0


class _File:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def has(self, offset: int, size: int) -> bool:
        return offset >= 0 and offset + size <= len(self.data)

    def number(self, offset: int, size: int) -> int:
        return int.from_bytes(self.data[offset : offset + size], "little")


def judge_naively(data: bytes) -> NaiveVerdict | None:
    """The verdict on an image's headers; None for a TE image."""
    file = _File(data)
    if not file.has(0, 64):
        return NaiveVerdict(READ)
    pe = file.number(60, 4) if file.number(0, 2) == 0x5A4D else 0
    if not file.has(pe, 264):
        return NaiveVerdict(READ)
    if file.number(pe, 2) == 0x5A56:
        return None
    optional = pe + 24
    magic = file.number(optional, 2)
    if file.number(pe, 4) != 0x4550 or magic not in (0x10B, 0x20B):
        return NaiveVerdict(MACHINE)
    base = 96 if magic == 0x10B else 112
    directories = file.number(optional + base - 4, 4)
    optional_size = file.number(pe + 20, 2)
    sections = file.number(pe + 6, 2)
    size_of_image = file.number(optional + 56, 4)
    size_of_headers = file.number(optional + 60, 4)
    table = (optional + optional_size) % _END
    if (
        directories > 16
        or optional_size != base + 8 * directories
        or size_of_image <= table
        or (size_of_image - table) // 40 <= sections
        or size_of_headers <= table
        or size_of_headers >= size_of_image
        or (size_of_headers - table) // 40 < sections
    ):
        return NaiveVerdict(UNSUPPORTED)
    if not file.has(size_of_headers - 1, 1):
        return NaiveVerdict(READ)
    if directories > 4:
        address, size = _directory(file, optional + base, 4)
        if size and address + size >= _END:
            return NaiveVerdict(UNSUPPORTED)
        if size and not file.has(address + size - 1, 1):
            return NaiveVerdict(READ)
    if file.number(pe + 4, 2) not in (0x14C, 0x8664, 0xEBC, 0xAA64):
        return NaiveVerdict(NO_TAG)
    for index in range(sections):
        header = table + 40 * index
        if not file.has(header, 40):
            return NaiveVerdict(READ)
        address, raw_size, pointer = (file.number(header + at, 4) for at in (12, 16, 20))
        if raw_size and (address < size_of_headers or pointer < size_of_headers or pointer + raw_size >= _END):
            return NaiveVerdict(UNSUPPORTED)
        if raw_size and not file.has(pointer + raw_size - 1, 1):
            return NaiveVerdict(READ)
    added = _debug_size(file, table, sections, *_directory(file, optional + base, 6)) if directories > 6 else 0
    return NaiveVerdict(READ) if added is None else NaiveVerdict(None, size_of_image + added)


def _directory(file: _File, first: int, index: int) -> tuple[int, int]:
    return file.number(first + 8 * index, 4), file.number(first + 8 * index + 4, 4)


def _debug_size(file: _File, table: int, sections: int, address: int, size: int) -> int | None:
    """What CodeView data adds to the image's size; None where an entry cannot be read."""
    place = 0
    for index in range(sections):
        header = table + 40 * index
        virtual_size, start, pointer = (file.number(header + at, 4) for at in (8, 12, 20))
        if start <= address < (start + virtual_size) % _END:
            place = address - start + pointer
            break
    if place == 0:
        return 0
    added = 0
    for at in range(0, size, 28):
        entry = place + at
        if not file.has(entry, 28):
            return None
        kind, data_size, rva, offset = (file.number(entry + field, 4) for field in (12, 16, 20, 24))
        if kind == 2:
            if rva == 0 and offset != 0:
                added += data_size
            if at + 28 < size and offset == entry + 28:
                break
        elif kind == 20 and not file.has(offset, 4):
            return None
    return added
