"""Binary layouts of PE/COFF and TE headers, for reading and for writing.

Headers are declared with ``construct``; the section table and other arrays use ``struct``.

Source: Microsoft PE format specification; UEFI 2.10 section 2.1.1; edk2 MdePkg/Include/IndustryStandard/PeImage.h.
"""

from __future__ import annotations

import struct
from typing import Final

from construct import Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct

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

DOS_HEADER: Final = Struct("e_magic" / Int16ul, Padding(58), "e_lfanew" / Int32ul)

FILE_HEADER: Final = Struct(
    "signature" / Int32ul,
    "machine" / Int16ul,
    "number_of_sections" / Int16ul,
    "time_date_stamp" / Int32ul,
    "pointer_to_symbol_table" / Int32ul,
    "number_of_symbols" / Int32ul,
    "size_of_optional_header" / Int16ul,
    "characteristics" / Int16ul,
)
"""IMAGE_FILE_HEADER with the signature in front of it."""

_STANDARD: Final = (
    "magic" / Int16ul,
    "major_linker_version" / Int8ul,
    "minor_linker_version" / Int8ul,
    "size_of_code" / Int32ul,
    "size_of_initialized_data" / Int32ul,
    "size_of_uninitialized_data" / Int32ul,
    "address_of_entry_point" / Int32ul,
    "base_of_code" / Int32ul,
)
_WINDOWS: Final = (
    "section_alignment" / Int32ul,
    "file_alignment" / Int32ul,
    "major_operating_system_version" / Int16ul,
    "minor_operating_system_version" / Int16ul,
    "major_image_version" / Int16ul,
    "minor_image_version" / Int16ul,
    "major_subsystem_version" / Int16ul,
    "minor_subsystem_version" / Int16ul,
    "win32_version_value" / Int32ul,
    "size_of_image" / Int32ul,
    "size_of_headers" / Int32ul,
    "check_sum" / Int32ul,
    "subsystem" / Int16ul,
    "dll_characteristics" / Int16ul,
)

OPTIONAL_HEADER32: Final = Struct(
    *_STANDARD,
    "base_of_data" / Int32ul,
    "image_base" / Int32ul,
    *_WINDOWS,
    "size_of_stack_reserve" / Int32ul,
    "size_of_stack_commit" / Int32ul,
    "size_of_heap_reserve" / Int32ul,
    "size_of_heap_commit" / Int32ul,
    "loader_flags" / Int32ul,
    "number_of_rva_and_sizes" / Int32ul,
)
"""Without its data directories: 96 bytes."""

OPTIONAL_HEADER64: Final = Struct(
    *_STANDARD,
    "image_base" / Int64ul,
    *_WINDOWS,
    "size_of_stack_reserve" / Int64ul,
    "size_of_stack_commit" / Int64ul,
    "size_of_heap_reserve" / Int64ul,
    "size_of_heap_commit" / Int64ul,
    "loader_flags" / Int32ul,
    "number_of_rva_and_sizes" / Int32ul,
)
"""Without its data directories: 112 bytes."""

TE_HEADER: Final = Struct(
    "signature" / Int16ul,
    "machine" / Int16ul,
    "number_of_sections" / Int8ul,
    "subsystem" / Int8ul,
    "stripped_size" / Int16ul,
    "address_of_entry_point" / Int32ul,
    "base_of_code" / Int32ul,
    "image_base" / Int64ul,
    "relocation_address" / Int32ul,
    "relocation_size" / Int32ul,
    "debug_address" / Int32ul,
    "debug_size" / Int32ul,
)

OPTIONAL_HEADER32_SIZE: Final = 96
OPTIONAL_HEADER64_SIZE: Final = 112
