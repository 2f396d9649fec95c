"""What firmware with memory protection makes of a PE image: how it maps it, or why it refuses it.

Three kinds of firmware differ: OVMF protects only the images of its own firmware volumes; edk2 built for it protects
every image whose sections are aligned and loads the others unprotected; Project Mu and Patina refuse what they cannot
protect, and applications without NX_COMPAT.

Source: edk2 MdeModulePkg/Library/ImagePropertiesRecordLib (CreateImagePropertiesRecord) and
MdeModulePkg/Core/Dxe/Misc/MemoryProtection.c (ProtectUefiImage) at c5aa7e7d; Project Mu mu_basecore
MdeModulePkg/Core/Dxe/Image/Image.c (CoreLoadPeImage: BlockImagesWithoutNxFlag returns EFI_SECURITY_VIOLATION). That
sections which are both writable and executable are refused is a rule of Patina's and of shim's; its status is not
recorded from any firmware, nor is that of images whose sections overlap or leave the image.
"""

from __future__ import annotations

from tdvfsh.formats.pe.findings import overwrites
from tdvfsh.formats.pe.image import IMAGE_SUBSYSTEM_EFI_APPLICATION, PeImage, PeSection
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import PAGE_SIZE, align_up

NO_PROTECTION: Final = "none"
OVMF_PROTECTION: Final = "ovmf"
ATTRIBUTES_PROTECTION: Final = "attributes"
NX_PROTECTION: Final = "nx"
STRICT_PROTECTION: Final = "strict"

IMAGE_SCN_CNT_CODE: Final = 0x20
IMAGE_SCN_MEM_EXECUTE: Final = 0x20000000
IMAGE_SCN_MEM_WRITE: Final = 0x80000000
IMAGE_DLLCHARACTERISTICS_NX_COMPAT: Final = 0x100
_BOTH: Final = IMAGE_SCN_MEM_EXECUTE | IMAGE_SCN_MEM_WRITE


class ImageRefusal(NamedTuple):
    """Reason for which firmware does not protect, or does not load, an image."""

    status: EfiStatus
    why: str


class PolicyVerdict(NamedTuple):
    """What becomes of an image under one policy.

    Attributes:
        policy: As ``--protect`` names it.
        verdict: ``runs``, ``unprotected`` (loaded, all of it writable and executable), ``faults`` (loaded, and stopped
            when it runs) or ``refused``.
        why: A sentence fragment; empty where it runs.
        by_shim: Why it faults where shim starts it; empty where it does not.
    """

    policy: str
    verdict: str
    why: str = ""
    by_shim: str = ""


def code_ranges(pe: PeImage) -> list[tuple[int, int]] | ImageRefusal:
    """Parts of an image that hold code, ``[start, end)`` from its base in order, or why it is not protected.

    Code is what IMAGE_SCN_CNT_CODE says; the permissions in the section table are not looked at.
    """
    if pe.is_te_image:
        return ImageRefusal(EfiStatus.EFI_INVALID_PARAMETER, "it is a TE image")
    if pe.section_alignment & (PAGE_SIZE - 1):
        what = f"SectionAlignment {pe.section_alignment:#x} is not a multiple of {PAGE_SIZE:#x}"
        return ImageRefusal(EfiStatus.EFI_ABORTED, what)
    found = sorted(
        (section.virtual_address, align_up(section.virtual_size, pe.section_alignment or 1), section.name)
        for section in pe.sections
        if section.characteristics & IMAGE_SCN_CNT_CODE
    )
    ranges: list[tuple[int, int]] = []
    for start, size, name in found:
        if start % PAGE_SIZE:
            why = f"{name} at {start:#x} does not begin at a page"
            return ImageRefusal(EfiStatus.EFI_UNSUPPORTED, why)
        if not size:
            return ImageRefusal(EfiStatus.EFI_INVALID_PARAMETER, f"{name} holds code and has no size in memory")
        if start + size > pe.image_size:
            return ImageRefusal(EfiStatus.EFI_INVALID_PARAMETER, f"{name} ends past the image")
        if ranges and ranges[-1][1] > start:
            return ImageRefusal(EfiStatus.EFI_INVALID_PARAMETER, f"{name} overlaps other code")
        ranges.append((start, start + size))
    return ranges


def strict_refusal(pe: PeImage) -> ImageRefusal | None:
    """Why firmware that protects every image refuses this one; None where it does not."""
    if pe.subsystem == IMAGE_SUBSYSTEM_EFI_APPLICATION and not has_nx_compat(pe):
        return ImageRefusal(EfiStatus.EFI_SECURITY_VIOLATION, "it does not say NX_COMPAT")
    both = next((section for section in pe.sections if section.characteristics & _BOTH == _BOTH), None)
    if both is not None:
        return ImageRefusal(EfiStatus.EFI_LOAD_ERROR, f"{both.name} is writable and executable")
    ranges = code_ranges(pe)
    if isinstance(ranges, ImageRefusal):
        return ranges
    odd = next((section for section in pe.sections if section.virtual_address % PAGE_SIZE), None)
    if odd is not None:
        where = f"{odd.name} at {odd.virtual_address:#x} does not begin at a page"
        return ImageRefusal(EfiStatus.EFI_UNSUPPORTED, where)
    damage = next(iter(overwrites(pe)), None)
    if damage is not None:
        return ImageRefusal(EfiStatus.EFI_LOAD_ERROR, str(damage))
    past = next((one for one in pe.sections if one.virtual_address + one.virtual_size > pe.size_of_image), None)
    return None if past is None else ImageRefusal(EfiStatus.EFI_LOAD_ERROR, f"{past.name} ends past SizeOfImage")


def has_nx_compat(pe: PeImage) -> bool:
    """Whether an image says that it needs no memory that is both writable and executable."""
    return bool(pe.dll_characteristics & IMAGE_DLLCHARACTERISTICS_NX_COMPAT)


def policy_verdicts(pe: PeImage) -> list[PolicyVerdict]:
    """What each policy but ``none`` makes of an image that comes from a disk, the mildest policy first."""
    by_shim = _shim_fault(pe)
    return [
        PolicyVerdict(OVMF_PROTECTION, "runs"),
        PolicyVerdict(ATTRIBUTES_PROTECTION, "runs", by_shim=by_shim),
        _nx_verdict(pe)._replace(by_shim=by_shim),
        _strict_verdict(pe),
    ]


def _shim_fault(pe: PeImage) -> str:
    """Why an image that shim loads by itself cannot run where there is EFI_MEMORY_ATTRIBUTE_PROTOCOL, or nothing.

    shim takes execution from the whole image, and gives it back to sections that are executable and begin at a page
    (shim issue 745; shim 15.8 and 16.1 with GRUB 2.02 on OVMF 2026.08: tests/recordings/secure-boot/nx-by-shim.txt).

    Source: rhboot/shim pe.c (handle_image), memattrs.c (update_mem_attrs).
    """
    entry = pe.address_of_entry_point
    start = next((one for one in pe.sections if 0 <= entry - one.virtual_address < one.virtual_size), None)
    if start is None:
        return ""
    if start.virtual_address % PAGE_SIZE:
        return f"{start.name} at {start.virtual_address:#x} does not begin at a page, and stays not executable"
    if not start.characteristics & IMAGE_SCN_MEM_EXECUTE:
        return f"{start.name} is not to be executable, and its entry point {entry:#x} is in it"
    return ""


def _nx_verdict(pe: PeImage) -> PolicyVerdict:
    ranges = code_ranges(pe)
    if isinstance(ranges, ImageRefusal):
        return PolicyVerdict(NX_PROTECTION, "unprotected", ranges.why)
    fault = _fault(pe, ranges)
    return PolicyVerdict(NX_PROTECTION, "faults" if fault else "runs", fault)


def _strict_verdict(pe: PeImage) -> PolicyVerdict:
    refusal = strict_refusal(pe)
    if refusal is not None:
        return PolicyVerdict(STRICT_PROTECTION, "refused", f"{refusal.why} ({refusal.status.name})")
    return _nx_verdict(pe)._replace(policy=STRICT_PROTECTION)


def _fault(pe: PeImage, ranges: list[tuple[int, int]]) -> str:
    """Why an image that is mapped by its sections cannot run, or nothing."""
    entry = pe.address_of_entry_point
    if entry and not any(start <= entry < end for start, end in ranges):
        return f"its entry point {entry:#x} is in data, which is not executable"
    return next((_damaged(section) for section in pe.sections if _is_damaged(section)), "")


def _is_damaged(section: PeSection) -> bool:
    """Whether a section is mapped with less than it asks for: writable code, or executable data."""
    code = section.characteristics & IMAGE_SCN_CNT_CODE
    wanted = IMAGE_SCN_MEM_WRITE if code else IMAGE_SCN_MEM_EXECUTE
    return bool(section.virtual_size and section.characteristics & wanted)


def _damaged(section: PeSection) -> str:
    if section.characteristics & IMAGE_SCN_CNT_CODE:
        return f"{section.name} is code that is to be writable, and is mapped read-only"
    return f"{section.name} is to be executable and is not marked as code, and is mapped as data"
