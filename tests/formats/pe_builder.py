"""Small PE images with any field set to anything."""

from __future__ import annotations

from typing import NamedTuple

from tdvfsh.formats.pe import layout


class Section(NamedTuple):
    """A section header's fields, and the bytes to put at its file pointer."""

    name: bytes
    virtual_address: int
    virtual_size: int
    pointer: int
    raw_size: int
    data: bytes = b""


TEXT = Section(b".text", 0x1000, 0x1000, 0x400, 0x200)
DATA = Section(b".data", 0x2000, 0x1000, 0x600, 0x200)


def build_pe(
    sections: tuple[Section, ...] = (TEXT, DATA),
    directories: dict[int, tuple[int, int]] | None = None,
    directory_count: int = 16,
    size: int = 0x800,
    pe32: bool = False,
    e_lfanew: int = 0x40,
    dos: bool = True,
    **fields: int,
) -> bytes:
    """An image of ``size`` bytes; ``fields`` are those of the file and optional headers."""
    optional_layout = layout.OPTIONAL_HEADER32 if pe32 else layout.OPTIONAL_HEADER64
    base_size = layout.OPTIONAL_HEADER32.size if pe32 else layout.OPTIONAL_HEADER64.size
    file_fields = {
        "signature": layout.IMAGE_NT_SIGNATURE,
        "machine": 0x8664,
        "number_of_sections": len(sections),
        "time_date_stamp": 0,
        "pointer_to_symbol_table": 0,
        "number_of_symbols": 0,
        "size_of_optional_header": base_size + 8 * directory_count,
        "characteristics": 0x22,
    }
    optional_fields = dict.fromkeys(optional_layout.names, 0) | {
        "magic": layout.OPTIONAL_HDR32_MAGIC if pe32 else layout.OPTIONAL_HDR64_MAGIC,
        "address_of_entry_point": 0x1000,
        "section_alignment": 0x1000,
        "file_alignment": 0x200,
        "size_of_image": 0x3000,
        "size_of_headers": 0x400,
        "subsystem": 10,
        "number_of_rva_and_sizes": directory_count,
    }
    unknown = fields.keys() - file_fields.keys() - optional_fields.keys()
    assert not unknown, unknown
    file_fields |= {name: value for name, value in fields.items() if name in file_fields}
    optional_fields |= {name: value for name, value in fields.items() if name in optional_fields}
    table = [(directories or {}).get(index, (0, 0)) for index in range(directory_count)]
    headers = (
        layout.FILE_HEADER.build(**file_fields)
        + optional_layout.build(**optional_fields)
        + b"".join(layout.DATA_DIRECTORY.pack(*entry) for entry in table)
        + b"".join(
            layout.SECTION_HEADER.pack(
                section.name,
                section.virtual_size,
                section.virtual_address,
                section.raw_size,
                section.pointer,
                0,
                0,
                0,
                0,
                0xE0000020,
            )
            for section in sections
        )
    )
    image = bytearray(size)
    if dos:
        image[:64] = layout.DOS_HEADER.build(e_magic=layout.IMAGE_DOS_SIGNATURE, e_lfanew=e_lfanew)
    place(image, e_lfanew if dos else 0, headers)
    for section in sections:
        place(image, section.pointer, section.data)
    return bytes(image)


def place(image: bytearray, offset: int, data: bytes) -> None:
    """Put bytes into an image, as far as they fit."""
    end = min(len(image), offset + len(data))
    if offset < end:
        image[offset:end] = data[: end - offset]
