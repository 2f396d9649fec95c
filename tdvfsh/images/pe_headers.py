"""Headers of made PE images: EFI applications for x86-64 with sections of 4 KiB pages."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.formats.pe import layout as pe
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import PAGE_SIZE

PE_OFFSET: Final = 0x40
FILE_ALIGNMENT: Final = 0x200
DIRECTORIES: Final = 6
_AMD64: Final = 0x8664
_EFI_APPLICATION: Final = 10


class MadeSection(NamedTuple):
    """A row of the section table.

    Attributes:
        name: Its name, at most eight bytes.
        address: Where it lies in the image.
        virtual_size: Its bytes there.
        raw_size: Its bytes in the file.
        pointer: Where it begins in the file.
        characteristics: Its flags.
    """

    name: bytes
    address: int
    virtual_size: int
    raw_size: int
    pointer: int
    characteristics: int


def pe_headers(
    sections: Sequence[MadeSection],
    characteristics: int,
    *,
    symbols: int = 0,
    directories: Sequence[tuple[int, int]] = ((0, 0),) * DIRECTORIES,
    **optional: int,
) -> bytes:
    """All that stands at :data:`PE_OFFSET`, from the signature to the section table.

    Args:
        sections: The section table.
        characteristics: Those of the file header.
        symbols: NumberOfSymbols; Linux has one.
        directories: Address and size of each data directory.
        optional: Fields of the optional header, besides those that follow from what is here.
    """
    file_header = pe.FILE_HEADER.build(
        signature=pe.IMAGE_NT_SIGNATURE,
        machine=_AMD64,
        number_of_sections=len(sections),
        time_date_stamp=0,
        pointer_to_symbol_table=0,
        number_of_symbols=symbols,
        size_of_optional_header=pe.OPTIONAL_HEADER64.size + len(directories) * pe.DATA_DIRECTORY.size,
        characteristics=characteristics,
    )
    optional_header = pe.OPTIONAL_HEADER64.build(
        magic=pe.OPTIONAL_HDR64_MAGIC,
        section_alignment=PAGE_SIZE,
        file_alignment=FILE_ALIGNMENT,
        subsystem=_EFI_APPLICATION,
        number_of_rva_and_sizes=len(directories),
        **optional,
    )
    table = b"".join(
        pe.SECTION_HEADER.pack(
            section.name, section.virtual_size, section.address, section.raw_size, section.pointer, 0, 0, 0, 0,
            section.characteristics,
        )
        for section in sections
    )  # fmt: skip
    return file_header + optional_header + b"".join(pe.DATA_DIRECTORY.pack(*pair) for pair in directories) + table
