"""Sections of guest RAM that the VMM adds, already accepted, before the TD first runs.

Source: edk2 OvmfPkg/OvmfPkgX64.fdf and OvmfPkg/Include/Fdf/MemFd.fdf.inc (edk2-stable202211 and c5aa7e7d),
OvmfPkg/IntelTdx/IntelTdxX64.fdf, OvmfPkg/ResetVector/X64/IntelTdxMetadata.asm.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.uefi.tdx import TdvfSectionType

MEMFD_BASE: Final = 0x800000


class AddedSection(NamedTuple):
    """A TDVF metadata section that lies in RAM: what it is for, where, and its type."""

    name: str
    span: AddressSpan
    section_type: TdvfSectionType


def _section(name: str, offset: int, size: int, section_type: TdvfSectionType) -> AddedSection:
    return AddedSection(name, AddressSpan(MEMFD_BASE + offset, MEMFD_BASE + offset + size), section_type)


_COMMON: Final = (
    _section("page tables", 0x0, 0x6000, TdvfSectionType.TEMP_MEM),
    _section("TD HOB", 0x9000, 0x2000, TdvfSectionType.TD_HOB),
    _section("work area and mailbox", 0xB000, 0x2000, TdvfSectionType.TEMP_MEM),
)
_TEMPORARY_RAM: Final = _section("SEC/PEI temporary RAM", 0x10000, 0x10000, TdvfSectionType.TEMP_MEM)

_HEAD: Final = (
    *_COMMON,
    _section("SEC/PEI temporary RAM", 0x14000, 0xC000, TdvfSectionType.TEMP_MEM),
    _section("early memory debug log", 0x20000, 0x10000, TdvfSectionType.TEMP_MEM),
)

ADDED_SECTIONS: Final[Mapping[str, tuple[AddedSection, ...]]] = MappingProxyType(
    {
        "inteltdx": (*_COMMON, _TEMPORARY_RAM),
        "ovmf-2022.11": (*_COMMON, _TEMPORARY_RAM),
        "ovmf-2025.02": (*_COMMON, _section("SEC/PEI temporary RAM", 0x11000, 0xF000, TdvfSectionType.TEMP_MEM)),
        "ovmf-head": _HEAD,
        "ovmf-2026.08": _HEAD,
    }
)
"""The sections by firmware, ascending. ``inteltdx`` is IntelTdxX64 without DEBUG_TO_MEM; ``ovmf-2025.02`` is read from
Debian's OVMF.fd 2025.02."""


def added_spans(firmware: str = "inteltdx") -> tuple[AddressSpan, ...]:
    """Where the VMM adds pages for ``firmware``.

    Raises:
        UsageError: No such firmware.
    """
    sections = ADDED_SECTIONS.get(firmware)
    if sections is None:
        raise UsageError(f"no TDX metadata is known for firmware '{firmware}' (known: {', '.join(ADDED_SECTIONS)})")
    return tuple(section.span for section in sections)


def td_hob_section(firmware: str = "inteltdx") -> AddressSpan:
    """The TD_HOB section of ``firmware``: where the list stands and how long it may be.

    Raises:
        UsageError: No such firmware.
    """
    added_spans(firmware)
    return next(section.span for section in ADDED_SECTIONS[firmware] if section.section_type is TdvfSectionType.TD_HOB)
