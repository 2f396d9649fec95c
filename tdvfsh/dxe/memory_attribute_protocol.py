"""EFI_MEMORY_ATTRIBUTE_PROTOCOL: programs read and change what memory may be used for.

Source: UEFI 2.10 section 37.7; edk2 UefiCpuPkg/CpuDxe/CpuPageTable.c (EfiGetMemoryAttributes, EfiSetMemoryAttributes,
EfiClearMemoryAttributes) at c5aa7e7d, there since edk2-stable202502.
"""

from __future__ import annotations

from tdvfsh.dxe.memory_services import MemoryServices
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import EFI_MEMORY_ACCESS_MASK
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE

_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_UNSUPPORTED: Final = EfiStatus.EFI_UNSUPPORTED


class AttributesResult(NamedTuple):
    """``attributes`` is None unless the status is EFI_SUCCESS."""

    status: EfiStatus
    attributes: int | None


class MemoryAttributeProtocol:
    """The protocol over one machine's memory.

    Args:
        services: Whose memory it is.
    """

    def __init__(self, services: MemoryServices) -> None:
        self._services = services

    def get_memory_attributes(self, base: int, length: int) -> AttributesResult:
        """GetMemoryAttributes.

        Returns:
            EFI_UNSUPPORTED: The range is not one of whole pages, or not mapped.
            EFI_INVALID_PARAMETER: No length.
            EFI_NO_MAPPING: The attributes differ inside the range.
        """
        if base % PAGE_SIZE or length % PAGE_SIZE:
            return AttributesResult(_UNSUPPORTED, None)
        if not length:
            return AttributesResult(_INVALID, None)
        if base + length > self._end:
            return AttributesResult(_UNSUPPORTED, None)
        core = self._services.core
        attributes = core.protection.attributes_of(core.memory_map, base, base + length)
        if attributes is None:
            return AttributesResult(EfiStatus.EFI_NO_MAPPING, None)
        return AttributesResult(SUCCESS, attributes)

    def set_memory_attributes(self, base: int, length: int, attributes: int) -> EfiStatus:
        """SetMemoryAttributes: add some of RP, XP and RO.

        Returns:
            EFI_INVALID_PARAMETER: No attributes, others than these three, or no length.
            EFI_UNSUPPORTED: The range is not one of whole pages, or not mapped.
        """
        return self._change(base, length, attributes, clear=False)

    def clear_memory_attributes(self, base: int, length: int, attributes: int) -> EfiStatus:
        """ClearMemoryAttributes: take some of RP, XP and RO away; statuses as those of setting."""
        return self._change(base, length, attributes, clear=True)

    @property
    def _end(self) -> int:
        """Where the identity map of firmware's page tables ends: all RAM, and at least 4 GiB."""
        return max(1 << 32, self._services.td.memory_end)

    def _change(self, base: int, length: int, attributes: int, *, clear: bool) -> EfiStatus:
        if not attributes or attributes & ~EFI_MEMORY_ACCESS_MASK or not length:
            return _INVALID
        if base % PAGE_SIZE or length % PAGE_SIZE or base + length > self._end:
            return _UNSUPPORTED
        core = self._services.core
        protection = core.protection
        for start, end, before in list(protection.pieces(core.memory_map, base, base + length)):
            protection.set_range(start, end, before & ~attributes if clear else before | attributes)
        return SUCCESS
