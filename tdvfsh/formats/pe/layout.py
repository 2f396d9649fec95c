"""Binary layouts of PE/COFF and TE headers, for reading and for writing.

What comes once is a :class:`Header`; the section table and other arrays use ``struct``.

Source: Microsoft PE format specification; UEFI 2.10 section 2.1.1; edk2 MdePkg/Include/IndustryStandard/PeImage.h.
"""

from __future__ import annotations

import struct

from tdvfsh.formats.header import U8, U16, U32, U64, Header, padding
from tdvfsh.lazy_typing import Final

IMAGE_DOS_SIGNATURE: Final = 0x5A4D  # "MZ"
IMAGE_NT_SIGNATURE: Final = 0x00004550  # "PE\0\0"
TE_IMAGE_HEADER_SIGNATURE: Final = 0x5A56  # "VZ"
OPTIONAL_HDR32_MAGIC: Final = 0x10B
OPTIONAL_HDR64_MAGIC: Final = 0x20B
NUMBER_OF_DIRECTORY_ENTRIES: Final = 16
DOS_HEADER_SIZE: Final = 64
FILE_HEADER_SIZE: Final = 20
SECTION_HEADER_SIZE: Final = 40
TE_HEADER_SIZE: Final = 40
OPTIONAL_HEADER_UNION_SIZE: Final = 264
"""Signature, file header and a PE32+ optional header with all directories: firmware reads that much, even of PE32."""

SECTION_HEADER: Final = struct.Struct("<8sIIIIIIHHI")
"""Name, VirtualSize, VirtualAddress, SizeOfRawData, PointerToRawData, relocations and line numbers, Characteristics."""

DATA_DIRECTORY: Final = struct.Struct("<II")
DEBUG_DIRECTORY_ENTRY: Final = struct.Struct("<IIHHIIII")
"""Characteristics, TimeDateStamp, MajorVersion, MinorVersion, Type, SizeOfData, RVA, FileOffset."""

DOS_HEADER: Final = Header(e_magic=U16, of_dos=padding(58), e_lfanew=U32)

FILE_HEADER: Final = Header(
    signature=U32,
    machine=U16,
    number_of_sections=U16,
    time_date_stamp=U32,
    pointer_to_symbol_table=U32,
    number_of_symbols=U32,
    size_of_optional_header=U16,
    characteristics=U16,
)
"""IMAGE_FILE_HEADER with the signature in front of it."""

_STANDARD: Final = {
    "magic": U16,
    "major_linker_version": U8,
    "minor_linker_version": U8,
    "size_of_code": U32,
    "size_of_initialized_data": U32,
    "size_of_uninitialized_data": U32,
    "address_of_entry_point": U32,
    "base_of_code": U32,
}
_WINDOWS: Final = {
    "section_alignment": U32,
    "file_alignment": U32,
    "major_operating_system_version": U16,
    "minor_operating_system_version": U16,
    "major_image_version": U16,
    "minor_image_version": U16,
    "major_subsystem_version": U16,
    "minor_subsystem_version": U16,
    "win32_version_value": U32,
    "size_of_image": U32,
    "size_of_headers": U32,
    "check_sum": U32,
    "subsystem": U16,
    "dll_characteristics": U16,
}

OPTIONAL_HEADER32: Final = Header(
    **_STANDARD,
    base_of_data=U32,
    image_base=U32,
    **_WINDOWS,
    size_of_stack_reserve=U32,
    size_of_stack_commit=U32,
    size_of_heap_reserve=U32,
    size_of_heap_commit=U32,
    loader_flags=U32,
    number_of_rva_and_sizes=U32,
)
"""Without its data directories: 96 bytes."""

OPTIONAL_HEADER64: Final = Header(
    **_STANDARD,
    image_base=U64,
    **_WINDOWS,
    size_of_stack_reserve=U64,
    size_of_stack_commit=U64,
    size_of_heap_reserve=U64,
    size_of_heap_commit=U64,
    loader_flags=U32,
    number_of_rva_and_sizes=U32,
)
"""Without its data directories: 112 bytes."""

TE_HEADER: Final = Header(
    signature=U16,
    machine=U16,
    number_of_sections=U8,
    subsystem=U8,
    stripped_size=U16,
    address_of_entry_point=U32,
    base_of_code=U32,
    image_base=U64,
    relocation_address=U32,
    relocation_size=U32,
    debug_address=U32,
    debug_size=U32,
)
