"""PE/COFF and TE images, judged as firmware judges them before it allocates anything.

:func:`parse_pe` makes the checks of PeCoffLoaderGetPeHeader and PeCoffLoaderGetImageInfo, in their order and with their
status and error tag. Nothing else is checked: overlapping sections, FileAlignment and checksums are fine to firmware.
What depends on the firmware's generation or its processor (subsystem 13, ARM64 on X64) is the caller's to judge.

Source: edk2 MdePkg/Library/BasePeCoffLib/{BasePeCoff.c,PeCoffLoaderEx.c} at c5aa7e7d94c0; PE format specification.
"""

from __future__ import annotations

import struct

from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.pe.image import (
    DIRECTORY_ENTRY_BASERELOC,
    DIRECTORY_ENTRY_DEBUG,
    DIRECTORY_ENTRY_RESOURCE,
    DIRECTORY_ENTRY_SECURITY,
    IMAGE_FILE_MACHINE_ARM64,
    IMAGE_FILE_MACHINE_EBC,
    IMAGE_FILE_MACHINE_I386,
    IMAGE_FILE_MACHINE_X64,
    IMAGE_FILE_RELOCS_STRIPPED,
    IMAGE_SUBSYSTEM_EFI_APPLICATION,
    IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER,
    IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER,
    SUPPORTED_MACHINES,
    DataDirectory,
    ImageError,
    PeImage,
    PeRejection,
    PeSection,
)
from tdvfsh.formats.pe.layout import (
    DATA_DIRECTORY,
    DEBUG_DIRECTORY_ENTRY,
    DOS_HEADER_SIZE,
    FILE_HEADER,
    FILE_HEADER_SIZE,
    IMAGE_DOS_SIGNATURE,
    IMAGE_NT_SIGNATURE,
    NUMBER_OF_DIRECTORY_ENTRIES,
    OPTIONAL_HDR32_MAGIC,
    OPTIONAL_HDR64_MAGIC,
    OPTIONAL_HEADER32,
    OPTIONAL_HEADER64,
    OPTIONAL_HEADER_UNION_SIZE,
    SECTION_HEADER,
    SECTION_HEADER_SIZE,
    TE_HEADER,
    TE_HEADER_SIZE,
    TE_IMAGE_HEADER_SIGNATURE,
)
from tdvfsh.formats.text import printable
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.status import EfiStatus

__all__ = [
    "DIRECTORY_ENTRY_BASERELOC",
    "DIRECTORY_ENTRY_DEBUG",
    "DIRECTORY_ENTRY_RESOURCE",
    "DIRECTORY_ENTRY_SECURITY",
    "IMAGE_FILE_MACHINE_ARM64",
    "IMAGE_FILE_MACHINE_EBC",
    "IMAGE_FILE_MACHINE_I386",
    "IMAGE_FILE_MACHINE_X64",
    "IMAGE_FILE_RELOCS_STRIPPED",
    "IMAGE_SUBSYSTEM_EFI_APPLICATION",
    "IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER",
    "IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER",
    "SUPPORTED_MACHINES",
    "DataDirectory",
    "ImageError",
    "PeImage",
    "PeRejection",
    "PeSection",
    "parse_pe",
]

_DEBUG_TYPE_CODEVIEW: Final = 2
_DEBUG_TYPE_EX_DLLCHARACTERISTICS: Final = 20
_U32: Final = 0xFFFFFFFF


def parse_pe(view: Buffer | ByteSource, size: int | None = None) -> PeImage | PeRejection:
    """Judge an image's headers as PeCoffLoaderGetImageInfo does.

    Args:
        view: The file.
        size: Bytes of it that count (LoadImage's SourceSize), where not all do.

    Returns:
        The image, or the status (EFI_UNSUPPORTED) and tag with which firmware refuses it.

    Raises:
        FormatError: The file shrank while it was read.

    Source: edk2 BasePeCoff.c, PeCoffLoaderGetPeHeader and PeCoffLoaderGetImageInfo.
    """
    source = ByteSource(view, size=size)
    try:
        return _parse(source)
    except _RejectedError as rejected:
        return rejected.rejection


class _RejectedError(Exception):
    """Exception that carries a rejection out of the checks; it never leaves this module."""

    def __init__(self, image_error: ImageError, why: str) -> None:
        self.rejection = PeRejection(EfiStatus.EFI_UNSUPPORTED, image_error, why)
        super().__init__(why)


def _read(source: ByteSource, offset: int, size: int, what: str) -> bytes:
    """What ImageRead returns; it shortens reads at the end of the file, and a short read refuses the image."""
    data = source.peek(offset, size)
    if len(data) != size:
        raise _RejectedError(ImageError.IMAGE_READ, f"{what} at {offset:#x} lies past the end of the file")
    return data


def _require_byte(source: ByteSource, offset: int, what: str) -> None:
    if not 0 <= offset & _U32 < source.size:
        raise _RejectedError(ImageError.IMAGE_READ, f"{what} ends past the end of the file")


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise _RejectedError(ImageError.UNSUPPORTED, why)


def _parse(source: ByteSource) -> PeImage:
    dos = _read(source, 0, DOS_HEADER_SIZE, "the DOS header")
    magic, header_offset = struct.unpack_from("<H58xI", dos)
    if magic != IMAGE_DOS_SIGNATURE:
        header_offset = 0
    header = _read(source, header_offset, OPTIONAL_HEADER_UNION_SIZE, "the PE header")
    if int.from_bytes(header[:2], "little") == TE_IMAGE_HEADER_SIGNATURE:
        return _parse_te(source, header)
    if int.from_bytes(header[:4], "little") != IMAGE_NT_SIGNATURE:
        raise _RejectedError(ImageError.INVALID_MACHINE_TYPE, "it has no PE signature")
    return _parse_pe(source, header, header_offset)


def _parse_pe(source: ByteSource, header: bytes, header_offset: int) -> PeImage:
    optional_offset = 4 + FILE_HEADER_SIZE
    magic = int.from_bytes(header[optional_offset : optional_offset + 2], "little")
    if magic == OPTIONAL_HDR32_MAGIC:
        layout = OPTIONAL_HEADER32
    elif magic == OPTIONAL_HDR64_MAGIC:
        layout = OPTIONAL_HEADER64
    else:
        raise _RejectedError(ImageError.INVALID_MACHINE_TYPE, f"the optional header's magic is {magic:#x}")
    file_header = FILE_HEADER.read(header)
    optional = layout.read(header, optional_offset)
    count: int = optional.number_of_rva_and_sizes
    section_count: int = file_header.number_of_sections
    size_of_image: int = optional.size_of_image
    size_of_headers: int = optional.size_of_headers
    _require(count <= NUMBER_OF_DIRECTORY_ENTRIES, f"NumberOfRvaAndSizes is {count}, more than 16")
    _require(
        file_header.size_of_optional_header - layout.size == count * DATA_DIRECTORY.size,
        f"SizeOfOptionalHeader {file_header.size_of_optional_header:#x} does not fit {count} data directories",
    )
    table_offset = (header_offset + optional_offset + file_header.size_of_optional_header) & _U32
    _require(size_of_image > table_offset, f"SizeOfImage {size_of_image:#x} ends before the section table")
    _require(
        (size_of_image - table_offset) // SECTION_HEADER_SIZE > section_count,
        f"SizeOfImage {size_of_image:#x} has no room for {section_count} section headers",
    )
    _require(size_of_headers > table_offset, f"SizeOfHeaders {size_of_headers:#x} ends before the section table")
    _require(size_of_headers < size_of_image, f"SizeOfHeaders {size_of_headers:#x} is not below SizeOfImage")
    _require(
        (size_of_headers - table_offset) // SECTION_HEADER_SIZE >= section_count,
        f"SizeOfHeaders {size_of_headers:#x} has no room for {section_count} section headers",
    )
    _require_byte(source, size_of_headers - 1, f"SizeOfHeaders {size_of_headers:#x}")
    directories = tuple(
        DataDirectory(*pair)
        for pair in DATA_DIRECTORY.iter_unpack(
            header[optional_offset + layout.size : optional_offset + layout.size + count * DATA_DIRECTORY.size]
        )
    )
    certificates = _check_certificates(source, directories)
    _check_machine(file_header.machine)
    table = source.peek(table_offset, section_count * SECTION_HEADER_SIZE)
    sections = _check_sections(source, table, section_count, size_of_headers, 0)
    image_size, debug_rva = _walk_debug_directory(source, directories, sections, size_of_image)
    return PeImage(
        machine=file_header.machine,
        magic=magic,
        subsystem=optional.subsystem,
        image_base=optional.image_base,
        size_of_image=size_of_image,
        image_size=image_size,
        section_alignment=optional.section_alignment,
        file_alignment=optional.file_alignment,
        size_of_headers=size_of_headers,
        address_of_entry_point=optional.address_of_entry_point,
        number_of_rva_and_sizes=count,
        data_directories=directories,
        characteristics=file_header.characteristics,
        dll_characteristics=optional.dll_characteristics,
        major_image_version=optional.major_image_version,
        relocations_stripped=bool(file_header.characteristics & IMAGE_FILE_RELOCS_STRIPPED),
        sections=sections,
        certificate_table=certificates,
        pe_header_offset=header_offset,
        section_table_offset=table_offset,
        debug_directory_entry_rva=debug_rva,
        is_te_image=False,
        te_stripped_offset=0,
        file_size=source.size,
    )


def _check_certificates(source: ByteSource, directories: tuple[DataDirectory, ...]) -> DataDirectory | None:
    if len(directories) <= DIRECTORY_ENTRY_SECURITY:
        return None
    table = directories[DIRECTORY_ENTRY_SECURITY]
    if table.size == 0:
        return None
    end = table.virtual_address + table.size
    _require(end <= _U32, "the certificate table's end wraps")
    _require_byte(source, end - 1, f"the certificate table at {table.virtual_address:#x}")
    return table


def _check_machine(machine: int) -> None:
    if machine not in SUPPORTED_MACHINES:
        raise _RejectedError(ImageError.SUCCESS, f"machine type {machine:#x} is not one that the loader knows")


def _check_sections(
    source: ByteSource, table: bytes, count: int, size_of_headers: int, te_stripped_offset: int
) -> tuple[PeSection, ...]:
    """Sections as the file has them; a TE image's addresses are only adjusted for the checks."""
    sections = []
    whole = len(table) // SECTION_HEADER_SIZE * SECTION_HEADER_SIZE
    for raw_name, virtual_size, address, raw_size, pointer, _, _, _, _, flags in SECTION_HEADER.iter_unpack(
        table[:whole]
    ):
        name = printable(raw_name.rstrip(b"\0"))
        start, first_byte = (address - te_stripped_offset) & _U32, (pointer - te_stripped_offset) & _U32
        if raw_size > 0:
            _require(
                start >= size_of_headers and first_byte >= size_of_headers, f"section {name!r} overlaps the headers"
            )
            _require(first_byte + raw_size <= _U32, f"the end of section {name!r} wraps")
            _require_byte(source, first_byte + raw_size - 1, f"section {name!r}")
        sections.append(
            PeSection(
                name=name,
                virtual_size=virtual_size,
                virtual_address=address,
                size_of_raw_data=raw_size,
                pointer_to_raw_data=pointer,
                characteristics=flags,
            )
        )
    if len(sections) < count:
        raise _RejectedError(ImageError.IMAGE_READ, f"section header {len(sections)} lies past the end of the file")
    return tuple(sections)


def _walk_debug_directory(
    source: ByteSource, directories: tuple[DataDirectory, ...], sections: tuple[PeSection, ...], size_of_image: int
) -> tuple[int, int]:
    """ImageSize with what CodeView data adds to it, and the RVA of the last CodeView entry (0: none)."""
    image_size, debug_rva = size_of_image, 0
    if len(directories) <= DIRECTORY_ENTRY_DEBUG:
        return image_size, debug_rva
    directory = directories[DIRECTORY_ENTRY_DEBUG]
    offset = _file_offset(sections, directory.virtual_address)
    if offset == 0:
        return image_size, debug_rva
    step = DEBUG_DIRECTORY_ENTRY.size
    for index in range(0, directory.size, step):
        entry = _read(source, offset + index, step, "a debug directory entry")
        _, _, _, _, kind, size_of_data, rva, file_offset = DEBUG_DIRECTORY_ENTRY.unpack(entry)
        if kind == _DEBUG_TYPE_CODEVIEW:
            debug_rva = (directory.virtual_address + index) & _U32
            if rva == 0 and file_offset != 0:
                image_size += size_of_data
            following = index + step
            if following < directory.size and file_offset == offset + following:
                break  # a known linker fault: the directory's size also covers the CodeView data
        elif kind == _DEBUG_TYPE_EX_DLLCHARACTERISTICS:
            _read(source, file_offset, 4, "extended DLL characteristics")
    return image_size, debug_rva


def _file_offset(sections: tuple[PeSection, ...], rva: int) -> int:
    """File offset of an RVA by the first section whose virtual range holds it, 0 where none does."""
    for section in sections:
        end = (section.virtual_address + section.virtual_size) & _U32
        if section.virtual_address <= rva < end:
            return rva - section.virtual_address + section.pointer_to_raw_data
    return 0


def _parse_te(source: ByteSource, header: bytes) -> PeImage:
    te = TE_HEADER.read(header)
    stripped_offset: int = te.stripped_size - TE_HEADER_SIZE
    size_of_headers = TE_HEADER_SIZE + te.base_of_code - te.stripped_size
    _require(stripped_offset > 0, f"StrippedSize {te.stripped_size:#x} is not above the TE header's size")
    _require(te.base_of_code > te.stripped_size, "BaseOfCode is not above StrippedSize")
    if not 0 < size_of_headers <= source.size:
        raise _RejectedError(ImageError.IMAGE_READ, "the TE headers end past the end of the file")
    relocations = DataDirectory(te.relocation_address, te.relocation_size)
    debug = DataDirectory(te.debug_address, te.debug_size)
    for directory in (relocations, debug):
        _require(directory.size == 0 or directory.virtual_address != 0, "a TE data directory has a size but no address")
    _check_machine(te.machine)
    table = source.peek(TE_HEADER_SIZE, te.number_of_sections * SECTION_HEADER_SIZE)
    sections = _check_sections(source, table, te.number_of_sections, size_of_headers, stripped_offset)
    image_size = 0
    if sections:
        image_size = ((sections[-1].virtual_address + sections[-1].virtual_size & _U32) - stripped_offset) & _U32
    return PeImage(
        machine=te.machine,
        magic=TE_IMAGE_HEADER_SIGNATURE,
        subsystem=te.subsystem,
        image_base=(te.image_base + stripped_offset) & (1 << 64) - 1,
        size_of_image=image_size,
        image_size=image_size,
        section_alignment=0,
        file_alignment=0,
        size_of_headers=size_of_headers,
        address_of_entry_point=te.address_of_entry_point,
        number_of_rva_and_sizes=2,
        data_directories=(relocations, debug),
        characteristics=0,
        dll_characteristics=0,
        major_image_version=0,
        relocations_stripped=relocations.size == 0 and relocations.virtual_address == 0,
        sections=sections,
        certificate_table=None,
        pe_header_offset=0,
        section_table_offset=TE_HEADER_SIZE,
        debug_directory_entry_rva=_te_debug_entry(source, debug, sections, stripped_offset),
        is_te_image=True,
        te_stripped_offset=stripped_offset,
        file_size=source.size,
    )


def _te_debug_entry(
    source: ByteSource, debug: DataDirectory, sections: tuple[PeSection, ...], stripped_offset: int
) -> int:
    offset = _file_offset(sections[-1:], debug.virtual_address) or _file_offset(sections, debug.virtual_address)
    if offset == 0:  # the walk continues to the last section, so that one wins where both hold the address
        return 0
    offset -= stripped_offset
    step = DEBUG_DIRECTORY_ENTRY.size
    for index in range(0, debug.size, step):
        entry = DEBUG_DIRECTORY_ENTRY.unpack(_read(source, offset + index, step, "a debug directory entry"))
        if entry[4] == _DEBUG_TYPE_CODEVIEW:
            return (debug.virtual_address + index) & _U32
    return 0
