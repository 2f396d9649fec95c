"""TDX metadata in a firmware image: which parts of TDVF go where in a new trust domain.

Source: Intel TDX Virtual Firmware Design Guide, "TDVF Metadata"; edk2 OvmfPkg/ResetVector/X64/IntelTdxMetadata.*;
QEMU hw/i386/{pc_sysfw_ovmf.c,tdvf.c} (whose checks are made here); td-shim doc/tdshim_spec.md (the legacy offset).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum, IntFlag

from tdvfsh.errors import FormatError
from tdvfsh.formats.header import U32, U64, Header, octets
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import Guid
from tdvfsh.units import PAGE_SIZE

OVMF_TABLE_FOOTER_GUID: Final = Guid("96b582de-1fb2-45f7-baea-a366c55a082d")
TDX_METADATA_OFFSET_GUID: Final = Guid("e47a6535-984a-4798-865e-4685a7bf8ec2")
TDX_METADATA_GUID: Final = Guid("e9eaf9f3-168e-44d5-a8eb-7f4d8738f6ae")
TDVF_SIGNATURE: Final = b"TDVF"
FOOTER_END: Final = 0x20
"""Bytes from the end of the GUIDed table to the end of the image (the reset vector's)."""

DESCRIPTOR: Final = Header(signature=octets(4), length=U32, version=U32, number_of_sections=U32)
SECTION: Final = Header(
    data_offset=U32,
    raw_data_size=U32,
    memory_address=U64,
    memory_data_size=U64,
    type=U32,
    attributes=U32,
)
_ENTRY_HEADER_SIZE: Final = 18  # length u16 and GUID
_MAX_SECTIONS: Final = 4096
_MAX_TABLE_SIZE: Final = 0xFFFF
_ADDRESS_LIMIT: Final = 1 << 64


class TdvfSectionType(IntEnum):
    """Section types of the design guide."""

    BFV = 0
    CFV = 1
    TD_HOB = 2
    TempMem = 3
    PermMem = 4
    Payload = 5
    PayloadParam = 6
    TD_INFO = 7
    TD_PARAMS = 8


class TdvfAttribute(IntFlag):
    """Section attributes: contents measured, or pages added pending (so that the guest must accept them)."""

    MR_EXTEND = 1
    PAGE_AUG = 2


@dataclass(frozen=True, slots=True)
class TdvfSection:
    """A section: ``raw_data_size`` bytes of the image go to ``memory_data_size`` bytes of memory.

    ``data_in_file`` is False where the data lies past the end of this file, as the BFV's does in an image that holds
    only code: there the offset counts from the start of variable store and code joined.
    """

    data_offset: int
    raw_data_size: int
    memory_address: int
    memory_data_size: int
    type: TdvfSectionType
    attributes: TdvfAttribute
    data_in_file: bool

    @property
    def memory_end(self) -> int:
        """First address after the section's memory."""
        return self.memory_address + self.memory_data_size


@dataclass(frozen=True, slots=True)
class TdvfMetadata:
    """The metadata descriptor at ``offset`` of the image, and its sections in the order of the file.

    ``found_by`` is ``guid table`` or ``legacy offset``; ``has_guid`` tells whether the metadata GUID stands before it.
    """

    path: str
    size: int
    offset: int
    version: int
    found_by: str
    has_guid: bool
    sections: tuple[TdvfSection, ...]

    def of_type(self, kind: TdvfSectionType) -> tuple[TdvfSection, ...]:
        """The sections of one type."""
        return tuple(section for section in self.sections if section.type is kind)


def guided_table(view: Buffer | ByteSource, path: str) -> dict[Guid, bytes]:
    """The entries of OVMF's GUIDed table; empty where an image has none.

    Raises:
        FormatError: There is one, but its lengths do not hold.
    """
    source = ByteSource(view, path)
    return dict(_table_entries(source))


def _table_entries(source: ByteSource) -> Iterator[tuple[Guid, bytes]]:
    end = source.size - FOOTER_END
    footer = source.peek(end - _ENTRY_HEADER_SIZE, _ENTRY_HEADER_SIZE)
    if len(footer) < _ENTRY_HEADER_SIZE or footer[2:] != OVMF_TABLE_FOOTER_GUID.bytes_le:
        return
    total = int.from_bytes(footer[:2], "little")
    start = end - total
    if total < _ENTRY_HEADER_SIZE or start < 0:
        raise FormatError(source.path, f"the GUIDed table's length {total:#x} is invalid", max(end - 18, 0))
    table = source.read(start, total - _ENTRY_HEADER_SIZE, "the GUIDed table")
    position = len(table)
    while position >= _ENTRY_HEADER_SIZE:
        length, raw_guid = struct.unpack_from("<H16s", table, position - _ENTRY_HEADER_SIZE)
        if length < _ENTRY_HEADER_SIZE or length > position:
            raise FormatError(source.path, f"a GUIDed table entry's length {length:#x} is invalid", start + position)
        yield Guid(bytes_le=raw_guid), table[position - length : position - _ENTRY_HEADER_SIZE]
        position -= length


def find_tdvf(view: Buffer | ByteSource, path: str) -> tuple[int, str] | None:
    """(offset of the metadata descriptor, how it was found), or None where an image has no TDX metadata.

    Raises:
        FormatError: A pointer to metadata is there but leads nowhere.
    """
    source = ByteSource(view, path)
    entry = guided_table(source, path).get(TDX_METADATA_OFFSET_GUID)
    if entry is not None:
        if len(entry) < 4:
            raise FormatError(path, "the TDX metadata entry holds no offset")
        distance = int.from_bytes(entry[-4:], "little")
        if not DESCRIPTOR.size <= distance <= source.size:
            raise FormatError(path, f"the TDX metadata lies {distance:#x} bytes before the end, outside the image")
        return source.size - distance, "guid table"
    legacy = source.peek(source.size - FOOTER_END, 4)
    offset = int.from_bytes(legacy, "little")
    if len(legacy) == 4 and source.peek(offset, 4) == TDVF_SIGNATURE:
        return offset, "legacy offset"
    return None


def parse_tdvf(view: Buffer | ByteSource, path: str, *, any_vmm: bool = False) -> TdvfMetadata:
    """Read and check a firmware image's TDX metadata as QEMU does before it builds the trust domain.

    Args:
        view: The image.
        path: Its name for messages.
        any_vmm: Take sections that the design guide has and QEMU refuses, such as those of td-shim.

    Raises:
        FormatError: No metadata, or QEMU would refuse it; the message says which section and why.
    """
    source = ByteSource(view, path)
    found = find_tdvf(source, path)
    if found is None:
        raise FormatError(path, "no TDX metadata: the firmware does not support TDX")
    offset, found_by = found
    header = DESCRIPTOR.read(source.read(offset, DESCRIPTOR.size, "the TDX metadata"))
    count: int = header.number_of_sections
    if header.signature != TDVF_SIGNATURE:
        raise FormatError(path, "the TDX metadata does not begin with 'TDVF'", offset)
    if header.version != 1:
        raise FormatError(path, f"TDX metadata of version {header.version}, not 1", offset)
    if not (1 if any_vmm else 2) <= count <= _MAX_SECTIONS:
        raise FormatError(path, f"TDX metadata with {count} sections", offset)
    if header.length != DESCRIPTOR.size + SECTION.size * count:
        raise FormatError(path, f"TDX metadata of {header.length} bytes for {count} sections", offset)
    table_offset = offset + DESCRIPTOR.size
    table = source.read(table_offset, SECTION.size * count, "the TDX metadata's sections")
    sections = tuple(
        _section(source, table[at : at + SECTION.size], table_offset + at, any_vmm)
        for at in range(0, len(table), SECTION.size)
    )
    return TdvfMetadata(
        path=path,
        size=source.size,
        offset=offset,
        version=header.version,
        found_by=found_by,
        has_guid=source.peek(offset - 16, 16) == TDX_METADATA_GUID.bytes_le,
        sections=sections,
    )


_WITH_DATA: Final = (TdvfSectionType.BFV, TdvfSectionType.CFV)
_WITHOUT_DATA: Final = (TdvfSectionType.TD_HOB, TdvfSectionType.TempMem)


def _section(source: ByteSource, raw: bytes, offset: int, any_vmm: bool) -> TdvfSection:
    fields = SECTION.read(raw)
    refuse = FormatError
    if fields.type not in (set(TdvfSectionType) if any_vmm else {*_WITH_DATA, *_WITHOUT_DATA}):
        why = "which the design guide does not have" if any_vmm else "which QEMU refuses"
        raise refuse(source.path, f"a TDVF section of type {fields.type}, {why}", offset)
    kind = TdvfSectionType(fields.type)
    if fields.memory_address % PAGE_SIZE or fields.memory_data_size % PAGE_SIZE:
        raise refuse(source.path, f"a {kind.name} section that is not made of 4 KiB pages", offset)
    if fields.memory_address + fields.memory_data_size > _ADDRESS_LIMIT:
        raise refuse(source.path, f"a {kind.name} section whose end wraps", offset)
    only_in_file = any_vmm and not fields.memory_address and not fields.memory_data_size
    if fields.memory_data_size < fields.raw_data_size and not only_in_file:
        raise refuse(source.path, f"a {kind.name} section with more data than memory", offset)
    if kind in _WITH_DATA and fields.raw_data_size == 0:
        raise refuse(source.path, f"a {kind.name} section without data", offset)
    if kind in _WITHOUT_DATA and fields.raw_data_size != 0:
        raise refuse(source.path, f"a {kind.name} section with data", offset)
    return TdvfSection(
        data_offset=fields.data_offset,
        raw_data_size=fields.raw_data_size,
        memory_address=fields.memory_address,
        memory_data_size=fields.memory_data_size,
        type=kind,
        attributes=TdvfAttribute(fields.attributes),
        data_in_file=fields.data_offset + fields.raw_data_size <= source.size,
    )
