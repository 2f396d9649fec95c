"""The TD HOB list: what the VMM tells TDVF about the guest's RAM.

Source: QEMU hw/i386/kvm/tdx.c and hw/i386/tdvf-hob.c; PI 1.8 volume 3; for SEC's check edk2
OvmfPkg/IntelTdx/TdxHelperLib/SecTdxHelper.c (ValidateHobList).
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.hob import (
    BOOT_MODES,
    HANDOFF_VERSION,
    HOB_HANDOFF,
    HOB_HEADER,
    HOB_RESOURCE_DESCRIPTOR,
    RESOURCE_ATTRIBUTE_KNOWN_MASK,
    RESOURCE_ATTRIBUTES_TESTED,
    HobType,
    ResourceType,
)
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import PAGE_SIZE

_NO_OWNER: Final = bytes(16)
_EXACT_LENGTHS: Final = {
    HobType.HANDOFF: HOB_HANDOFF.size,
    HobType.RESOURCE_DESCRIPTOR: HOB_RESOURCE_DESCRIPTOR.size,
    HobType.FV: 24,
    HobType.FV2: 56,
    HobType.FV3: 64,
    HobType.CPU: 16,
}
_KNOWN_TYPES: Final = frozenset({*_EXACT_LENGTHS, HobType.GUID_EXTENSION})


class TdHobEntry(NamedTuple):
    """One resource descriptor: ``length`` bytes of RAM from byte address ``start``."""

    start: int
    length: int
    resource_type: ResourceType
    resource_attribute: int = RESOURCE_ATTRIBUTES_TESTED

    @property
    def end(self) -> int:
        """First byte after the range."""
        return self.start + self.length

    @property
    def is_unaccepted(self) -> bool:
        """Whether firmware has to accept it."""
        return self.resource_type is ResourceType.MEMORY_UNACCEPTED


def td_hob_entries(ram: RamLayout, added: Sequence[AddressSpan] = ()) -> tuple[TdHobEntry, ...]:
    """The entries QEMU makes: one unaccepted per RAM span, with what it adds before the start carved out.

    Args:
        ram: The guest's RAM.
        added: TD HOB and temporary memory sections, in any order, disjoint.

    Raises:
        UsageError: A section does not lie in RAM, or two overlap; QEMU does not start then.
    """
    entries: list[TdHobEntry] = []
    waiting = sorted(added)
    for span in ram.spans:
        at = span.start
        while waiting and waiting[0].start < span.end:
            section = waiting.pop(0)
            if section.start < at or section.end > span.end or section.size <= 0:
                raise UsageError(
                    f"firmware section [{section.start:#x}, {section.end:#x}) does not lie in one piece of free RAM"
                )
            if at < section.start:
                entries.append(TdHobEntry(at, section.start - at, ResourceType.MEMORY_UNACCEPTED))
            entries.append(TdHobEntry(section.start, section.size, ResourceType.SYSTEM_MEMORY))
            at = section.end
        if at < span.end:
            entries.append(TdHobEntry(at, span.end - at, ResourceType.MEMORY_UNACCEPTED))
    if waiting:
        raise UsageError(f"firmware section at {waiting[0].start:#x} lies outside RAM")
    return tuple(entries)


def build_td_hob_list(entries: Sequence[TdHobEntry], base: int, capacity: int | None = None) -> bytes:
    """The list as QEMU writes it at ``base``: hand-off HOB, one resource descriptor for each entry, end.

    Args:
        entries: The RAM entries, ascending.
        base: Guest address of the list.
        capacity: Bytes of the TD_HOB section; None for no limit.

    Raises:
        UsageError: The list is longer than ``capacity``; QEMU exits then.
    """
    size = HOB_HANDOFF.size + len(entries) * HOB_RESOURCE_DESCRIPTOR.size + HOB_HEADER.size
    if capacity is not None and size > capacity:
        raise UsageError(f"TD HOB list of {size} bytes does not fit its section of {capacity} bytes")
    parts = [
        HOB_HANDOFF.pack(HobType.HANDOFF, HOB_HANDOFF.size, 0, HANDOFF_VERSION, 0, 0, 0, 0, 0, base + size),
    ]
    parts += [
        HOB_RESOURCE_DESCRIPTOR.pack(
            HobType.RESOURCE_DESCRIPTOR,
            HOB_RESOURCE_DESCRIPTOR.size,
            0,
            _NO_OWNER,
            entry.resource_type,
            entry.resource_attribute,
            entry.start,
            entry.length,
        )
        for entry in entries
    ]
    parts.append(HOB_HEADER.pack(HobType.END_OF_HOB_LIST, HOB_HEADER.size, 0))
    return b"".join(parts)


def parse_td_hob_list(data: bytes | memoryview) -> tuple[TdHobEntry, ...] | EfiStatus:
    """The resource descriptors of a list, after the check that OVMF's SEC makes.

    Returns:
        The entries in the list's order, or EFI_INVALID_PARAMETER: a reserved field that is not 0, a length that is 0 or
        wrong for its type, a type, boot mode, resource type or attribute that SEC does not know, a free memory top that
        is not page aligned, or a list that runs out of ``data`` before its end.
    """
    entries: list[TdHobEntry] = []
    offset = 0
    while offset + HOB_HEADER.size <= len(data):
        hob_type, length, reserved = HOB_HEADER.unpack_from(data, offset)
        if hob_type == HobType.END_OF_HOB_LIST:
            return tuple(entries)
        known = hob_type in _KNOWN_TYPES and length >= HOB_HEADER.size and offset + length <= len(data)
        if reserved or not known or length != _EXACT_LENGTHS.get(hob_type, length):
            return EfiStatus.EFI_INVALID_PARAMETER
        if hob_type == HobType.HANDOFF and not _valid_handoff(data, offset):
            return EfiStatus.EFI_INVALID_PARAMETER
        if hob_type == HobType.CPU and any(data[offset + 10 : offset + 16]):
            return EfiStatus.EFI_INVALID_PARAMETER
        if hob_type == HobType.RESOURCE_DESCRIPTOR:
            entry = _resource(data, offset)
            if entry is None:
                return EfiStatus.EFI_INVALID_PARAMETER
            entries.append(entry)
        offset += length
    return EfiStatus.EFI_INVALID_PARAMETER


def _valid_handoff(data: bytes | memoryview, offset: int) -> bool:
    fields = HOB_HANDOFF.unpack_from(data, offset)
    boot_mode, free_memory_top = fields[4], fields[7]
    return boot_mode in BOOT_MODES and free_memory_top % PAGE_SIZE == 0


def _resource(data: bytes | memoryview, offset: int) -> TdHobEntry | None:
    _, _, _, _, resource_type, attribute, start, length = HOB_RESOURCE_DESCRIPTOR.unpack_from(data, offset)
    if resource_type > ResourceType.MEMORY_UNACCEPTED or attribute & ~RESOURCE_ATTRIBUTE_KNOWN_MASK:
        return None
    return TdHobEntry(start, length, ResourceType(resource_type), attribute)
