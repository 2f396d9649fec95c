"""Memory protection: which memory may not be written, and which not executed.

Access attributes follow from two things: the policy for a memory type (PcdDxeNxMemoryProtectionPolicy), and what was
set on single ranges: an image's sections when it is loaded (PcdImageProtectionPolicy), and what a program asked for by
EFI_MEMORY_ATTRIBUTE_PROTOCOL. Ranges lose what was set on them when their pages are freed.

Source: edk2 MdeModulePkg/Core/Dxe/Misc/MemoryProtection.c and MdeModulePkg/MdeModulePkg.dec at c5aa7e7d;
OvmfPkg/OvmfPkgX64.dsc and OvmfPkg/IntelTdx/IntelTdxX64.dsc leave both PCDs at their defaults, 2 (images from firmware
volumes) and 0, in 2022.11, 2025.02 and 2026.05; ArmVirtPkg/ArmVirt.dsc.inc has 3 and 0xC000000000007FD5. Debian's
secboot and strictnx builds of 2026.08 have page tables like its plain one: ``info tlb`` in QEMU; strictnx differs in
that it leaves EFI_MEMORY_ATTRIBUTE_PROTOCOL installed (OvmfPkg's PcdUninstallMemAttrProtocol), as upstream's OVMF does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tdvfsh.dxe.memory.memory_map import MemoryMap
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.protection import (
    ATTRIBUTES_PROTECTION,
    NO_PROTECTION,
    NX_PROTECTION,
    OVMF_PROTECTION,
    STRICT_PROTECTION,
    ImageRefusal,
    code_ranges,
    strict_refusal,
)
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.ranges import RangeMap
from tdvfsh.uefi.memory import (
    EFI_MEMORY_ACCESS_MASK,
    EFI_MEMORY_RO,
    EFI_MEMORY_XP,
    OEM_MEMORY_TYPE_FIRST,
    EfiMemoryType,
)
from tdvfsh.units import PAGE_SIZE, align_down, align_up

_OS_RESERVED: Final = 0x80000000
_IMAGE_UNKNOWN: Final = 1
"""The bit of PcdImageProtectionPolicy for images that do not come from a firmware volume."""
_CODE_TYPES: Final = frozenset(
    {EfiMemoryType.EfiLoaderCode, EfiMemoryType.EfiBootServicesCode, EfiMemoryType.EfiRuntimeServicesCode}
)


class ProtectionPolicy(NamedTuple):
    """How one kind of firmware is built.

    Attributes:
        name: As ``--protect`` names it.
        image_protection: PcdImageProtectionPolicy.
        nx_types: PcdDxeNxMemoryProtectionPolicy: a bit for each memory type that is not executable.
        memory_attribute_protocol: EFI_MEMORY_ATTRIBUTE_PROTOCOL is offered.
        refuses_images: Images that cannot be protected are not loaded.
    """

    name: str
    image_protection: int
    nx_types: int
    memory_attribute_protocol: bool
    refuses_images: bool = False

    @property
    def enforced(self) -> bool:
        """Whether anything of it reaches programs from disks."""
        return bool(self.image_protection & _IMAGE_UNKNOWN or self.nx_types or self.memory_attribute_protocol)

    def of_type(self, memory_type: int) -> int:
        """Access attributes of newly allocated memory of a type."""
        if memory_type >= _OS_RESERVED:
            bit = 63
        elif memory_type >= OEM_MEMORY_TYPE_FIRST:
            bit = 62
        else:
            bit = memory_type
        return EFI_MEMORY_XP if self.nx_types >> bit & 1 else 0


POLICIES: Final = {
    policy.name: policy
    for policy in (
        ProtectionPolicy(NO_PROTECTION, 0, 0, False),
        ProtectionPolicy(OVMF_PROTECTION, 2, 0, False),
        ProtectionPolicy(ATTRIBUTES_PROTECTION, 2, 0, True),
        ProtectionPolicy(NX_PROTECTION, 3, 0xC000000000007FD5, True),
        ProtectionPolicy(STRICT_PROTECTION, 3, 0xC000000000007FFF, True, refuses_images=True),
    )
}
"""``strict`` is Project Mu with all of it on: code types, too, are not executable before they are made so."""


class MemoryProtection:
    """The access attributes of one firmware's memory.

    Args:
        policy: How it is built.

    Attributes:
        policy: As above.
        version: Counts the changes that do not show in the memory map's key.
    """

    __slots__ = ("_set", "policy", "version")

    def __init__(self, policy: ProtectionPolicy = POLICIES[OVMF_PROTECTION]) -> None:
        self.policy = policy
        self.version = 0
        self._set: RangeMap[int] = RangeMap()

    def copy(self) -> MemoryProtection:
        """An independent copy."""
        twin = MemoryProtection(self.policy)
        twin.version = self.version
        twin._set = self._set.copy()
        return twin

    def __eq__(self, other: object) -> bool:
        """Whether another is in the same state."""
        return isinstance(other, MemoryProtection) and (self.policy, list(self.ranges())) == (
            other.policy, list(other.ranges()),
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def has_ranges(self) -> bool:
        """Whether anything is set on single ranges."""
        return len(self._set) > 0

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """What was set on single ranges: start, end and access attributes."""
        return self._set.spans()

    def set_range(self, start: int, end: int, attributes: int) -> None:
        """Set the access attributes of ``[start, end)``, over what was there."""
        self._set.set(start, end, attributes & EFI_MEMORY_ACCESS_MASK)
        self.version += 1

    def adopt(self, memory_map: MemoryMap) -> None:
        """Firmware's own code is in memory already, and executable."""
        for start, end, memory_type, _ in memory_map:
            if memory_type in _CODE_TYPES and self.policy.of_type(memory_type):
                self.set_range(start, end, 0)

    def freed(self, start: int, end: int) -> None:
        """Pages were freed: only their type counts again."""
        if self.has_ranges and next(self._set.spans(start, end), None) is not None:
            self._set.clear(start, end)
            self.version += 1

    # ---- images -------------------------------------------------------------------------------------------------

    def refuses(self, pe: PeImage) -> ImageRefusal | None:
        """Why this firmware does not load an image, or None."""
        return strict_refusal(pe) if self.policy.refuses_images else None

    def protect_image(self, pe: PeImage, base: int) -> None:
        """ProtectUefiImage: an image that does not come from a firmware volume was loaded at ``base``."""
        if not self.policy.image_protection & _IMAGE_UNKNOWN:
            return
        ranges = code_ranges(pe)
        if isinstance(ranges, ImageRefusal):
            self.set_range(align_down(base, PAGE_SIZE), align_up(base + pe.image_size, PAGE_SIZE), 0)
            return
        self.set_range(base, base + align_up(pe.image_size, PAGE_SIZE), EFI_MEMORY_XP)
        for start, end in ranges:
            self.set_range(base + start, base + end, EFI_MEMORY_RO)

    # ---- reading ------------------------------------------------------------------------------------------------

    def spans(self, memory_map: MemoryMap) -> list[tuple[int, int, int]]:
        """Start, end and access attributes of all memory that is not simply readable, writable and executable."""
        found: RangeMap[int] = RangeMap()
        for start, end, memory_type, _ in memory_map:
            attributes = self.policy.of_type(memory_type)
            if attributes:
                found.set(start, end, attributes)
        for start, end, attributes in self._set.spans():
            found.set(start, end, attributes)
        return [span for span in found.spans() if span[2]]

    def attributes_of(self, memory_map: MemoryMap, start: int, end: int) -> int | None:
        """Access attributes of a range; None where they differ in it."""
        return one_of(attributes for _, _, attributes in self.pieces(memory_map, start, end))

    def pieces(self, memory_map: MemoryMap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """A range in pieces of equal access attributes, all of it."""
        at = start
        for low, high, attributes in self.spans(memory_map):
            low, high = max(low, at), min(high, end)
            if low >= high:
                continue
            if at < low:
                yield at, low, 0
            yield low, high, attributes
            at = high
        if at < end:
            yield at, end, 0


def one_of(values: Iterable[int]) -> int | None:
    """The one value that all have; None where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
