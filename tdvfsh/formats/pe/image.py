"""What firmware knows of a PE image, and how it reports that a file is not one.

Source: PE format specification; edk2 MdePkg/Include/{IndustryStandard/PeImage.h,Library/PeCoffLib.h}.
"""

from __future__ import annotations

from enum import IntEnum

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.status import EfiStatus

IMAGE_FILE_MACHINE_I386: Final = 0x14C
IMAGE_FILE_MACHINE_X64: Final = 0x8664
IMAGE_FILE_MACHINE_EBC: Final = 0xEBC
IMAGE_FILE_MACHINE_ARM64: Final = 0xAA64
SUPPORTED_MACHINES: Final = frozenset(
    {IMAGE_FILE_MACHINE_I386, IMAGE_FILE_MACHINE_X64, IMAGE_FILE_MACHINE_EBC, IMAGE_FILE_MACHINE_ARM64}
)
"""What the PE loader of X64 firmware can load; starting is another question."""

IMAGE_SUBSYSTEM_EFI_APPLICATION: Final = 10
IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER: Final = 11
IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER: Final = 12

DIRECTORY_ENTRY_RESOURCE: Final = 2
DIRECTORY_ENTRY_SECURITY: Final = 4
DIRECTORY_ENTRY_BASERELOC: Final = 5
DIRECTORY_ENTRY_DEBUG: Final = 6
IMAGE_FILE_RELOCS_STRIPPED: Final = 1


class ImageError(IntEnum):
    """IMAGE_ERROR_*: the PE loader's own tag for what went wrong (MdePkg/Include/Library/PeCoffLib.h)."""

    SUCCESS = 0
    IMAGE_READ = 1
    INVALID_PE_HEADER_SIGNATURE = 2
    INVALID_MACHINE_TYPE = 3
    INVALID_SUBSYSTEM = 4
    INVALID_IMAGE_ADDRESS = 5
    INVALID_IMAGE_SIZE = 6
    INVALID_SECTION_ALIGNMENT = 7
    SECTION_NOT_LOADED = 8
    FAILED_RELOCATION = 9
    FAILED_ICACHE_FLUSH = 10
    UNSUPPORTED = 11


@dataclass(frozen=True, slots=True)
class PeRejection:
    """Reason for which firmware refuses an image: the status, the loader's tag, and a readable sentence fragment."""

    status: EfiStatus
    image_error: ImageError
    why: str


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """IMAGE_DATA_DIRECTORY; the security directory's address is a file offset, all others are RVAs."""

    virtual_address: int
    size: int


@dataclass(frozen=True, slots=True)
class PeSection:
    """IMAGE_SECTION_HEADER; ``name`` has its trailing NULs removed and what is not printable escaped."""

    name: str
    virtual_size: int
    virtual_address: int
    size_of_raw_data: int
    pointer_to_raw_data: int
    characteristics: int


@dataclass(frozen=True, slots=True)
class PeImage:
    """What firmware knows of an image once it accepted the headers; sizes in bytes, names are the specification's.

    ``image_size`` is what gets allocated: SizeOfImage plus CodeView data that lies outside the sections. A TE image has
    no SizeOfImage, no alignment and no headers' size of its own; these are derived as firmware derives them.
    """

    machine: int
    magic: int
    subsystem: int
    image_base: int
    size_of_image: int
    image_size: int
    section_alignment: int
    file_alignment: int
    size_of_headers: int
    address_of_entry_point: int
    number_of_rva_and_sizes: int
    data_directories: tuple[DataDirectory, ...]
    characteristics: int
    dll_characteristics: int
    major_image_version: int
    relocations_stripped: bool
    sections: tuple[PeSection, ...]
    certificate_table: DataDirectory | None
    pe_header_offset: int
    section_table_offset: int
    debug_directory_entry_rva: int
    is_te_image: bool
    te_stripped_offset: int
    file_size: int

    def section(self, name: str) -> PeSection | None:
        """The first section called ``name``."""
        return next((section for section in self.sections if section.name == name), None)
