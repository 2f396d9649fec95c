"""What is wrong with a PE image that firmware loads all the same, and which firmware does not load it.

edk2's loader copies the sections in the order of their table and looks neither at overlaps nor, where a section has no
bytes in the file, at the end of the image; loaders with image protection do.

Source: edk2 MdePkg/Library/BasePeCoffLib/BasePeCoff.c (PeCoffLoaderLoadImage) and
MdeModulePkg/Core/Dxe/Misc/MemoryProtection.c (ProtectUefiImage); Project Mu's and Patina's image loaders; rhboot/shim
pe.c (NX checks of 15.8); the reports nanovms/nanos PR 2182, OpenDevicePartnership/patina issue 346, rhboot/shim issues
287, 517 and 787, jirutka/efi-mkuki issue 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tdvfsh.formats.pe.image import PeImage, PeSection
from tdvfsh.formats.pe.uki import UKI_SECTIONS
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import PAGE_SIZE

_CODE: Final = 0x20 | 0x20000000  # IMAGE_SCN_CNT_CODE, IMAGE_SCN_MEM_EXECUTE
_EXECUTE: Final = 0x20000000
_WRITE: Final = 0x80000000
_NX_COMPAT: Final = 0x100  # IMAGE_DLLCHARACTERISTICS_NX_COMPAT
_STRICT: Final = "loaders with image protection refuse it (Project Mu, Patina)"
_DEBUG: Final = "debug builds of edk2 with image protection stop at an assertion, others leave it unprotected"


class Overwrite(NamedTuple):
    """``size`` bytes of section ``name`` that section ``by``, copied after it, overwrites in memory."""

    name: str
    by: str
    size: int

    def __str__(self) -> str:
        return f"{self.by} overwrites {self.size:#x} bytes of {self.name}"


class Finding(NamedTuple):
    """One fault of an image: what it is, and what comes of it."""

    what: str
    effect: str

    def __str__(self) -> str:
        return f"{self.what}: {self.effect}"


def overwrites(pe: PeImage) -> list[Overwrite]:
    """Every pair of sections that overlap in memory; the later one in the section table wins."""
    found = []
    spans = [(section, *_span(section)) for section in pe.sections]
    for index, (section, start, end) in enumerate(spans):
        for later, later_start, later_end in spans[index + 1 :]:
            size = min(end, later_end) - max(start, later_start)
            if size > 0:
                found.append(Overwrite(section.name, later.name, size))
    return found


def overwritten_code(pe: PeImage) -> Overwrite | None:
    """The first overwritten section that holds code of the image's own; it crashes sooner or later."""
    code = {section.name for section in pe.sections if section.characteristics & _CODE} - set(UKI_SECTIONS)
    return next((damage for damage in overwrites(pe) if damage.name in code), None)


def findings(pe: PeImage) -> list[Finding]:
    """All that is wrong with an image that edk2 loads, the worst first."""
    return [*_memory_findings(pe), *_alignment_findings(pe), *_protection_findings(pe)]


def _span(section: PeSection) -> tuple[int, int]:
    """Bytes that loading a section writes, relative to the image: its file's, then zeros."""
    return section.virtual_address, section.virtual_address + (section.virtual_size or section.size_of_raw_data)


def _memory_findings(pe: PeImage) -> Iterator[Finding]:
    for damage in overwrites(pe):
        yield Finding(str(damage), f"edk2 loads it and {damage.name} is not what the file holds; {_STRICT}")
    for section in pe.sections:
        start, end = _span(section)
        if end > pe.size_of_image:
            over = end - max(start, pe.size_of_image)
            yield Finding(
                f"{section.name} ends {over:#x} bytes past SizeOfImage",
                f"edk2 clears that memory after the image, whatever owns it; {_STRICT}, and so does shim",
            )


def _alignment_findings(pe: PeImage) -> Iterator[Finding]:
    alignment = pe.section_alignment
    for section in pe.sections:
        if alignment > 1 and section.virtual_address % alignment:
            yield Finding(
                f"{section.name} at {section.virtual_address:#x} is not aligned to SectionAlignment {alignment:#x}",
                f"edk2 loads it; {_STRICT}; {_DEBUG} (Oracle Cloud's firmware)",
            )
    if alignment < PAGE_SIZE:
        yield Finding(
            f"SectionAlignment {alignment:#x} is below 4 KiB",
            f"its sections cannot have page permissions of their own: edk2 loads it without protection, {_STRICT}, and "
            "so does shim where NX is required",
        )
    if any(upper.virtual_address < lower.virtual_address for lower, upper in pairwise(pe.sections)):
        yield Finding("the sections are not in ascending order", f"edk2 loads it; {_STRICT}")


def _protection_findings(pe: PeImage) -> Iterator[Finding]:
    for section in pe.sections:
        both = _WRITE | _EXECUTE
        if section.characteristics & both == both:
            claim = ", although the image says NX_COMPAT" if pe.dll_characteristics & _NX_COMPAT else ""
            yield Finding(
                f"{section.name} is writable and executable{claim}",
                "edk2 loads it; shim where NX is required and firmware with strict NX rules refuse it",
            )
    entry = pe.address_of_entry_point
    holder = next((section for section in pe.sections if _span(section)[0] <= entry < _span(section)[1]), None)
    if pe.sections and entry and (holder is None or not holder.characteristics & _CODE):
        where = "no section" if holder is None else f"{holder.name}, which holds no code"
        yield Finding(f"the entry point {entry:#x} is in {where}", "edk2 starts it there; with NX it faults at once")
