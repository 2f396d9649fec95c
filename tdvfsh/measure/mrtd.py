"""MRTD of a firmware file: SHA-384 over the pages that the VMM adds before a TD starts.

TDH.MEM.PAGE.ADD adds a block of 128 bytes with the page's address to the digest; TDH.MR.EXTEND a block with a chunk's
address and then the chunk's 256 bytes. Sections come in the order of the TDX metadata; a page of a section that is to
be added pending (PAGE_AUG) is not there before the TD starts, and is not measured. VMMs differ in the order of the two
calls:

* ``page``: a page is added and extended before the next one. Linux since 6.16, arch/x86/kvm/vmx/tdx.c
  (tdx_gmem_post_populate, by KVM_TDX_INIT_MEM_REGION), and so QEMU since 10.1; td-shim-tee-info-hash.
* ``section``: all pages of a section are added, then all are extended. The KVM of Intel's tdx-qemu-next tree and of
  distributions that took it; Project Oak's tdx_measurement.

Source: Intel TDX module 1.5 base specification, "MRTD: Build-Time Measurement Register"; ABI, TDH.MEM.PAGE.ADD and
TDH.MR.EXTEND; Intel TDX Virtual Firmware Design Guide, "TDVF Metadata".
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.tdvf import TdvfAttribute, TdvfMetadata, TdvfSection, TdvfSectionType
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.units import PAGE_SIZE, human_size

_BLOCK: Final = 128
_CHUNK: Final = 256
_ADDRESS_AT: Final = 16
_PAGE_ADD: Final = b"MEM.PAGE.ADD"
_MR_EXTEND: Final = b"MR.EXTEND"
_MOST: Final = 256 << 20
"""Bytes that are added at most: more is a hostile file, and would hash for long."""


class AddOrder(StrEnum):
    """When a VMM extends the pages that it adds."""

    PAGE = "page"
    SECTION = "section"


@dataclass(frozen=True, slots=True)
class BuildMeasurement:
    """A TD's measurement at build time.

    Attributes:
        mrtd: The register.
        order: When pages were extended.
        added_bytes: Size of the pages that were added.
        extended_bytes: Size of the contents that were measured.
    """

    mrtd: bytes
    order: AddOrder
    added_bytes: int
    extended_bytes: int


def measure_build(
    view: Buffer | ByteSource, metadata: TdvfMetadata, order: AddOrder = AddOrder.PAGE
) -> BuildMeasurement:
    """Measure the sections of a firmware file.

    Args:
        view: The file. It may lack the variable store at its front, as long as no measured section lies there.
        metadata: Its TDX metadata.
        order: When pages are extended.

    Raises:
        FormatError: A measured section's data is not in the file or is the VMM's own (a TD HOB), or the sections are
            larger than 256 MiB.
    """
    source = ByteSource(view, metadata.path)
    digest = hashlib.sha384()
    added = extended = 0
    before = missing_before(metadata)
    for section in metadata.sections:
        pages = 0 if TdvfAttribute.PAGE_AUG in section.attributes else section.memory_data_size
        measured = section.memory_data_size if TdvfAttribute.MR_EXTEND in section.attributes else 0
        added, extended = added + pages, extended + measured
        if max(added, extended) > _MOST:
            raise FormatError(metadata.path, f"sections of more than {human_size(_MOST)} to add and to measure")
        if measured and section.type is TdvfSectionType.TD_HOB:
            why = "a measured TD_HOB section: MRTD depends on what the VMM writes there, and is not computed"
            raise FormatError(metadata.path, why)
        data = _data_of(source, section, before) if measured else b""
        addresses = range(section.memory_address, section.memory_end, PAGE_SIZE)
        if order is AddOrder.SECTION:
            for address in addresses if pages else ():
                digest.update(_block(_PAGE_ADD, address))
            for address in addresses if measured else ():
                _extend(digest, address, data, address - section.memory_address)
            continue
        for address in addresses:
            if pages:
                digest.update(_block(_PAGE_ADD, address))
            if measured:
                _extend(digest, address, data, address - section.memory_address)
    return BuildMeasurement(digest.digest(), order, added, extended)


def missing_before(metadata: TdvfMetadata) -> int:
    """Bytes that are missing at a file's front: offsets count from the start of variable store and code joined."""
    ends = (each.data_offset + each.raw_data_size for each in metadata.sections if each.raw_data_size)
    return max(0, max(ends, default=0) - metadata.size)


def _data_of(source: ByteSource, section: TdvfSection, before: int) -> bytes:
    """The section's data in the file; memory past it is zeros."""
    if not section.raw_data_size:
        return b""
    at = section.data_offset - before
    if at < 0:
        what = f"the measured {section.type.name} section at {section.memory_address:#x}"
        raise FormatError(source.path, f"the data of {what} is not in this file: join variable store and code")
    return source.read(at, section.raw_data_size, f"the data of the {section.type.name} section")


def _block(name: bytes, address: int) -> bytes:
    """The block that a call adds to the digest: its name, and the address at byte 16."""
    return (name.ljust(_ADDRESS_AT, b"\0") + address.to_bytes(8, "little")).ljust(_BLOCK, b"\0")


def _extend(digest: hashlib._Hash, address: int, data: bytes, offset: int) -> None:
    """TDH.MR.EXTEND of each chunk of a page."""
    for at in range(0, PAGE_SIZE, _CHUNK):
        digest.update(_block(_MR_EXTEND, address + at))
        digest.update(data[offset + at : offset + at + _CHUNK].ljust(_CHUNK, b"\0"))
