"""Base relocations: which places of a loaded image change by the distance between linked and actual address.

Source: edk2 MdePkg/Library/BasePeCoffLib/BasePeCoff.c at c5aa7e7d94c0, PeCoffLoaderRelocateImage; PE format
specification, "The .reloc section".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.pe.load import LoadedHeader, PlacedSections, place_sections
from tdvfsh.formats.pe.memory import LoadedImage
from tdvfsh.formats.pe.parse import DIRECTORY_ENTRY_BASERELOC, ImageError, PeImage, PeRejection
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.status import EfiStatus

_BLOCK_HEADER: Final = struct.Struct("<II")
_U32: Final = 0xFFFFFFFF
_CHUNK_SIZE: Final = 1 << 16


class RelocationType(IntEnum):
    """IMAGE_REL_BASED_*, as far as X64 firmware applies them."""

    ABSOLUTE = 0
    HIGH = 1
    LOW = 2
    HIGHLOW = 3
    DIR64 = 10


_WIDTHS: Final = {RelocationType.HIGH: 2, RelocationType.LOW: 2, RelocationType.HIGHLOW: 4, RelocationType.DIR64: 8}
_KINDS: Final = {int(kind): kind for kind in RelocationType}


class Fixup(NamedTuple):
    """One place to change: ``width`` bytes at ``rva`` (from the start of the image in memory)."""

    rva: int
    kind: RelocationType

    @property
    def width(self) -> int:
        """Bytes that change: 2, 4 or 8."""
        return _WIDTHS[self.kind]

    def apply(self, value: int, adjust: int) -> int:
        """The place's new content, from its old one and the distance in bytes."""
        added = adjust >> 16 if self.kind is RelocationType.HIGH else adjust
        return (value + added) & ((1 << 8 * self.width) - 1)


def relocate_pe(
    pe: PeImage, view: Buffer | ByteSource, adjust: int, placed: PlacedSections | PeRejection | None = None
) -> tuple[Fixup, ...] | PeRejection:
    """The fixups of an image that lies ``adjust`` bytes from where it was linked.

    Args:
        pe: The image.
        view: Its file.
        adjust: Actual address minus ImageBase, modulo 2^64.
        placed: What :func:`~tdvfsh.formats.pe.load.place_sections` returned for it, where it was asked already.

    Returns:
        Fixups in the order of the blocks (none where the address is the linked one or relocations are stripped), or
        EFI_LOAD_ERROR for a directory or block outside its bounds, EFI_UNSUPPORTED for a type that X64 does not have.
        Blocks are read before any fixup is applied: an image that relocates its own relocations is not followed.

    Raises:
        FormatError: Sections map the same relocations over and over: more of them than the file has bytes.
    """
    if pe.relocations_stripped:
        return ()
    source = ByteSource(view, size=pe.file_size)
    placed = placed or place_sections(pe, source)
    if isinstance(placed, PeRejection):
        return placed
    address, size = _directory(pe, placed.header)
    if size == 0:
        return ()
    limit = pe.image_size + pe.te_stripped_offset
    if address + size - 1 > _U32 or address + size - 1 >= limit:
        return _failed(f"the relocation directory {address:#x}+{size:#x} lies outside the image")
    if adjust == 0:
        return ()
    return _walk(placed.image, pe, address - pe.te_stripped_offset, size, source.path)


def _directory(pe: PeImage, header: LoadedHeader) -> tuple[int, int]:
    """Address and size of the base relocation directory.

    With exactly five directories firmware's test (``<`` where ``<=`` was meant) takes what follows the fifth for the
    sixth, which is the start of the section table.
    """
    if pe.is_te_image:
        return header.data_directories[0]
    if header.number_of_rva_and_sizes < DIRECTORY_ENTRY_BASERELOC:
        return 0, 0
    return header.data_directories[DIRECTORY_ENTRY_BASERELOC]


def _failed(why: str, status: EfiStatus = EfiStatus.EFI_LOAD_ERROR) -> PeRejection:
    return PeRejection(status, ImageError.FAILED_RELOCATION, why)


def _walk(loaded: LoadedImage, pe: PeImage, start: int, size: int, path: str) -> tuple[Fixup, ...] | PeRejection:
    limit = pe.image_size
    position, end = start, start + size
    budget = pe.file_size
    fixups: list[Fixup] = []
    while position < end - 1:
        page, block_size = _BLOCK_HEADER.unpack(loaded.read(position, _BLOCK_HEADER.size))
        if block_size == 0:
            return _failed(f"the relocation block at {position:#x} has size 0")
        if position + block_size > end:
            return _failed(f"the relocation block at {position:#x} runs past the directory")
        base = page - pe.te_stripped_offset
        if not 0 <= page < limit + pe.te_stripped_offset:
            return _failed(f"the relocation block at {position:#x} is for page {page:#x} outside the image")
        budget -= min(block_size, _BLOCK_HEADER.size)
        # an odd block size still has its last, half covered record read
        count = max(0, (block_size - _BLOCK_HEADER.size + 1) // 2)
        for records in _records(loaded, position + _BLOCK_HEADER.size, count):
            budget -= len(records)
            if budget < 0:
                raise FormatError(path, "its sections repeat relocations beyond the size of the file")
            for (record,) in struct.iter_unpack("<H", records):
                rva = base + (record & 0xFFF)
                if rva >= limit:
                    return _failed(f"a relocation at {rva:#x} lies outside the image")
                kind = _KINDS.get(record >> 12)
                if kind is None:
                    return _failed(f"relocation type {record >> 12} is unknown on X64", EfiStatus.EFI_UNSUPPORTED)
                if kind is not RelocationType.ABSOLUTE:
                    fixups.append(Fixup(rva, kind))
        position += block_size
    return tuple(fixups)


def _records(loaded: LoadedImage, start: int, count: int) -> Iterator[bytes]:
    """Whole records in pieces; those that lie in zeroed memory alone are left out, for they mean nothing."""
    cursor = start
    for first, last in loaded.backed(start, 2 * count):
        first -= (first - start) % 2
        last += (last - start) % 2
        first = max(first, cursor)
        while first < last:
            cursor = min(last, first + _CHUNK_SIZE)
            yield loaded.read(first, cursor - first)
            first = cursor
