"""Where an image's bytes go: the checks and copies that firmware makes once it has pages for the image.

Source: edk2 MdePkg/Library/BasePeCoffLib/BasePeCoff.c at c5aa7e7d94c0, PeCoffLoaderLoadImage.
"""

from __future__ import annotations

from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.pe.layout import (
    DATA_DIRECTORY,
    FILE_HEADER_SIZE,
    OPTIONAL_HDR32_MAGIC,
    OPTIONAL_HDR64_MAGIC,
    OPTIONAL_HEADER32,
    OPTIONAL_HEADER64,
    OPTIONAL_HEADER_UNION_SIZE,
    SECTION_HEADER,
    SECTION_HEADER_SIZE,
)
from tdvfsh.formats.pe.memory import Coverage, LoadedImage, Piece
from tdvfsh.formats.pe.parse import (
    DIRECTORY_ENTRY_RESOURCE,
    IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER,
    ImageError,
    PeImage,
    PeRejection,
    PeSection,
)
from tdvfsh.formats.pe.resources import check_resources
from tdvfsh.formats.text import printable
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.status import EfiStatus

_U32: Final = 0xFFFFFFFF
_CODEVIEW_RECORD_SIZES: Final = {b"NB10": 16, b"RSDS": 24, b"MTOC": 20}
"""Signature of a CodeView record to the least SizeOfData that firmware wants to see."""


@dataclass(frozen=True, slots=True)
class LoadedHeader:
    """Header fields that firmware reads again from the loaded image: section zero fills can have wiped them."""

    magic: int
    image_base: int
    address_of_entry_point: int
    number_of_rva_and_sizes: int
    data_directories: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PeLoad:
    """Plan that fills the pages of an accepted image.

    Attributes:
        image_address: Where the image lies.
        image_size: Bytes that belong to it.
        pieces: What to write, in order: copies from the file, and zero fills where ``file_offset`` is None.
            Gaps between sections keep what the pages held.
        entry_point: Address to call, or 0 where AddressOfEntryPoint lies outside the image.
        header: The header fields as they stand in memory afterwards.
        overrun: Bytes that firmware writes past the image (a section with VirtualSize 0, or without raw data, is not
            checked at its end); 0 for every sane image.
    """

    image_address: int
    image_size: int
    pieces: tuple[Piece, ...]
    entry_point: int
    header: LoadedHeader
    overrun: int

    @property
    def copies(self) -> tuple[tuple[int, int, int], ...]:
        """(destination RVA, file offset, length) of every copy."""
        return tuple((rva, offset, size) for rva, size, offset in self.pieces if offset is not None)

    @property
    def zero_fills(self) -> tuple[tuple[int, int], ...]:
        """(destination RVA, length) of every zero fill."""
        return tuple((rva, size) for rva, size, offset in self.pieces if offset is None)


class PlacedSections(NamedTuple):
    """Headers and sections as the loader writes them, wherever the image lies.

    Attributes:
        pieces: What it writes, in order.
        header: The header as it stands in memory afterwards.
        image: Reader of what stands there.
    """

    pieces: tuple[Piece, ...]
    header: LoadedHeader
    image: LoadedImage


def load_pe(
    pe: PeImage,
    view: Buffer | ByteSource,
    image_address: int,
    image_size: int | None = None,
    placed: PlacedSections | PeRejection | None = None,
) -> PeLoad | PeRejection:
    """Check a load address and say what goes where.

    Args:
        pe: The image as :func:`~tdvfsh.formats.pe.parse.parse_pe` returned it.
        view: The same file.
        image_address: Address of the image, already aligned to SectionAlignment as CoreLoadPeImage aligns it.
        image_size: Bytes allocated for it, where the caller wants that checked against the image's need.
        placed: What :func:`place_sections` returned for it, where it was asked already.

    Returns:
        The load, or firmware's status: EFI_BUFFER_TOO_SMALL (too few bytes), EFI_INVALID_PARAMETER (address 0,
        misaligned, or not the linked one of a stripped image), EFI_LOAD_ERROR (stripped runtime driver, section or
        debug data outside the image), EFI_UNSUPPORTED (debug or resource data malformed).
    """
    rejection = check_address(pe, image_address, image_size)
    if rejection is not None:
        return rejection
    source = ByteSource(view, size=pe.file_size)
    placed = placed or place_sections(pe, source)
    if isinstance(placed, PeRejection):
        return placed
    pieces, header, loaded = [*placed.pieces], placed.header, placed.image
    rejection = _check_code_view(pe, loaded, pieces, source)
    if rejection is None and not pe.is_te_image:
        rejection = _check_resources(pe, loaded, header)
    if rejection is not None:
        return rejection
    entry_rva = header.address_of_entry_point
    limit = pe.image_size + pe.te_stripped_offset
    return PeLoad(
        image_address=image_address,
        image_size=pe.image_size,
        pieces=tuple(pieces),
        entry_point=image_address + entry_rva - pe.te_stripped_offset if entry_rva < limit else 0,
        header=header,
        overrun=max(0, max((rva + size for rva, size, _ in pieces), default=0) - pe.image_size),
    )


def check_address(pe: PeImage, image_address: int, image_size: int | None = None) -> PeRejection | None:
    """Why an image cannot be loaded at an address, or in so many bytes; None where it can."""
    invalid = EfiStatus.EFI_INVALID_PARAMETER
    if image_size is not None and image_size < pe.image_size:
        return PeRejection(
            EfiStatus.EFI_BUFFER_TOO_SMALL,
            ImageError.INVALID_IMAGE_SIZE,
            f"the image needs {pe.image_size:#x} bytes, {image_size:#x} were allocated",
        )
    if image_address == 0:
        return PeRejection(invalid, ImageError.INVALID_IMAGE_ADDRESS, "an image cannot be loaded at address 0")
    if pe.relocations_stripped:
        if pe.subsystem == IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER:
            return PeRejection(
                EfiStatus.EFI_LOAD_ERROR, ImageError.INVALID_SUBSYSTEM, "a runtime driver must have relocations"
            )
        if image_address != pe.image_base:
            return PeRejection(
                invalid,
                ImageError.INVALID_IMAGE_ADDRESS,
                f"relocations are stripped and {image_address:#x} is not the linked address {pe.image_base:#x}",
            )
    if not pe.is_te_image and image_address & (pe.section_alignment - 1 & _U32):
        return PeRejection(
            invalid,
            ImageError.INVALID_SECTION_ALIGNMENT,
            f"{image_address:#x} is not aligned to SectionAlignment {pe.section_alignment:#x}",
        )
    return None


def place_sections(pe: PeImage, source: ByteSource) -> PlacedSections | PeRejection:
    """What the loader writes, or why it does not."""
    pieces = [Piece(0, pe.size_of_headers, 0)]
    limit = pe.image_size + pe.te_stripped_offset
    table = _HeaderBytes(pe, source)
    for index, listed in enumerate(pe.sections):
        section = table.section(index) if table.wiped else listed
        size = section.virtual_size
        if size == 0 or size > section.size_of_raw_data:
            size = section.size_of_raw_data
        last = (section.virtual_address + section.virtual_size - 1) & _U32
        inside = section.virtual_address < limit
        if size > 0 and not (inside and last < limit):
            return PeRejection(
                EfiStatus.EFI_LOAD_ERROR,
                ImageError.SECTION_NOT_LOADED,
                f"section {section.name!r} at {section.virtual_address:#x} lies outside the image's {limit:#x} bytes",
            )
        if not inside:
            continue
        rva = section.virtual_address - pe.te_stripped_offset
        if section.size_of_raw_data > 0:
            pieces.append(Piece(rva, size, section.pointer_to_raw_data - pe.te_stripped_offset))
        if size < section.virtual_size:
            pieces.append(Piece(rva + size, section.virtual_size - size, None))
            table.wipe(rva + size, section.virtual_size - size, index + 1)
    return PlacedSections(tuple(pieces), table.header(), LoadedImage(source, pieces))


class _HeaderBytes:
    """PE header and section table as they stand in memory while sections are being placed.

    A section without raw data may lie over the headers; its zero fill then wipes section headers that the loader has
    yet to read. Copies cannot do that: they must begin past SizeOfHeaders.
    """

    def __init__(self, pe: PeImage, source: ByteSource) -> None:
        self._pe = pe
        self._source = source
        self._bytes: bytearray | None = None
        self._wiped = Coverage()
        self._start = pe.pe_header_offset

    @property
    def wiped(self) -> bool:
        return self._bytes is not None

    def wipe(self, rva: int, size: int, next_section: int) -> None:
        pe = self._pe
        table_end = pe.section_table_offset + SECTION_HEADER_SIZE * len(pe.sections)
        end = max(table_end, self._start + OPTIONAL_HEADER_UNION_SIZE)
        if pe.is_te_image or rva >= end or rva + size <= self._start:
            return
        if self._bytes is None:
            self._bytes = bytearray(self._source.read(self._start, end - self._start, "the PE header"))
        unread = pe.section_table_offset + SECTION_HEADER_SIZE * next_section  # what was read is not read again
        for lowest, highest in ((self._start, pe.section_table_offset), (unread, end)):
            for first, last in self._wiped.add(max(lowest, rva), min(highest, rva + size)):
                self._bytes[first - self._start : last - self._start] = bytes(last - first)

    def section(self, index: int) -> PeSection:
        assert self._bytes is not None
        offset = self._pe.section_table_offset - self._start + SECTION_HEADER_SIZE * index
        name, virtual_size, address, raw_size, pointer, *_, flags = SECTION_HEADER.unpack_from(self._bytes, offset)
        return PeSection(
            name=printable(name.rstrip(b"\0")),
            virtual_size=virtual_size,
            virtual_address=address,
            size_of_raw_data=raw_size,
            pointer_to_raw_data=pointer,
            characteristics=flags,
        )

    def header(self) -> LoadedHeader:
        pe = self._pe
        if pe.is_te_image:
            directories = tuple((entry.virtual_address, entry.size) for entry in pe.data_directories)
            return LoadedHeader(pe.magic, pe.image_base, pe.address_of_entry_point, 2, directories)
        data: bytes | bytearray | None = self._bytes
        if data is None:
            data = self._source.read(self._start, OPTIONAL_HEADER_UNION_SIZE, "the PE header")
        optional = 4 + FILE_HEADER_SIZE
        magic = int.from_bytes(data[optional : optional + 2], "little")
        is_pe32 = magic == OPTIONAL_HDR32_MAGIC
        size = OPTIONAL_HEADER32.size if is_pe32 else OPTIONAL_HEADER64.size
        base_at, base_size = (28, 4) if is_pe32 else (24, 8)
        if magic not in (OPTIONAL_HDR32_MAGIC, OPTIONAL_HDR64_MAGIC):
            size = OPTIONAL_HEADER64.size
        directories_at = optional + size
        raw = data[directories_at : directories_at + 16 * DATA_DIRECTORY.size]
        return LoadedHeader(
            magic=magic,
            image_base=int.from_bytes(data[optional + base_at : optional + base_at + base_size], "little"),
            address_of_entry_point=int.from_bytes(data[optional + 16 : optional + 20], "little"),
            number_of_rva_and_sizes=int.from_bytes(data[directories_at - 4 : directories_at], "little"),
            data_directories=tuple(DATA_DIRECTORY.iter_unpack(raw)),
        )


def _check_code_view(pe: PeImage, loaded: LoadedImage, pieces: list[Piece], source: ByteSource) -> PeRejection | None:
    """The debug directory's CodeView entry, read from the loaded image; may add a copy to ``pieces``."""
    entry_rva = pe.debug_directory_entry_rva
    limit = pe.image_size + pe.te_stripped_offset
    if entry_rva == 0:
        return None
    outside = PeRejection(EfiStatus.EFI_LOAD_ERROR, ImageError.FAILED_RELOCATION, "debug data lies outside the image")
    if entry_rva >= limit:
        return outside
    entry_at = entry_rva - pe.te_stripped_offset
    size_of_data, rva, file_offset = (loaded.u32(entry_at + at) for at in (16, 20, 24))
    code_view_rva = rva
    if rva == 0 and file_offset != 0 and pe.sections:
        last = pe.sections[-1]
        code_view_rva = (last.virtual_address + max(last.size_of_raw_data, last.virtual_size)) & _U32
    if code_view_rva == 0:
        return None
    if code_view_rva >= limit:
        return outside
    at = code_view_rva - pe.te_stripped_offset
    signature = loaded.read(at, 4)
    if rva == 0:  # the data stands outside the sections: the loader appends it to the image
        offset = (file_offset - pe.te_stripped_offset) & _U32
        size = max(0, min(size_of_data, source.size - offset))
        if size:
            pieces.append(Piece(at, size, offset))
            signature = (source.peek(offset, min(size, 4)) + signature[min(size, 4) :])[:4]
    needed = _CODEVIEW_RECORD_SIZES.get(signature, 0)
    if size_of_data < needed:
        return PeRejection(
            EfiStatus.EFI_UNSUPPORTED,
            ImageError.UNSUPPORTED,
            f"a CodeView record of {size_of_data} bytes cannot hold {signature.decode('ascii')}",
        )
    return None


def _check_resources(pe: PeImage, loaded: LoadedImage, header: LoadedHeader) -> PeRejection | None:
    if header.number_of_rva_and_sizes <= DIRECTORY_ENTRY_RESOURCE:
        return None
    rva, size = header.data_directories[DIRECTORY_ENTRY_RESOURCE]
    if size == 0 or rva >= pe.image_size:
        return None
    why = check_resources(loaded, rva, size)
    return None if why is None else PeRejection(EfiStatus.EFI_UNSUPPORTED, ImageError.UNSUPPORTED, why)
