"""What is known of a boot, from its log or from its model: what conditions of known faults are asked about."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.unaccepted import TABLE_HEADER_SIZE, table_span
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import GIB

Version = tuple[int, ...]
_NUMBERS: Final = pattern(r"\d+(?:\.\d+)*")
NOT_RAM: Final = (
    EfiMemoryType.EfiReservedMemoryType,
    EfiMemoryType.EfiMemoryMappedIO,
    EfiMemoryType.EfiMemoryMappedIOPortSpace,
)
_POOL_OFFSET: Final = 0x18  # what AllocatePool adds to a page's address for a block of more than a page


@dataclass(frozen=True)
class Facts:
    """What is known; None and empty are for what is not.

    Attributes:
        td: Whether it is a trust domain.
        kernel: Version of the kernel.
        edk2: Release of the firmware, as ``(2025, 2)``.
        vcpus: How many it has.
        low_end: First byte after RAM below 4 GiB.
        memory: Bytes of RAM.
        unaccepted: Bytes of it that are not accepted when the kernel starts.
        table: ``(offset in its page, bytes)`` of the kernel's unaccepted memory table.
    """

    td: bool | None = None
    kernel: Version = ()
    edk2: Version = ()
    vcpus: int | None = None
    low_end: int | None = None
    memory: int | None = None
    unaccepted: int | None = None
    table: tuple[int, int] | None = None


def version_of(text: str) -> Version:
    """``6.12.107+deb13`` as ``(6, 12, 107)``; empty where the text begins with no number."""
    match = _NUMBERS.match(text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def before(version: Version, other: Version) -> bool:
    """Whether ``version`` is older; missing numbers count as 0."""
    pairs = list(zip_longest(version, other, fillvalue=0))
    return [mine for mine, _ in pairs] < [theirs for _, theirs in pairs]


def ram_facts(descriptors: Sequence[MemoryDescriptor]) -> tuple[int, int, tuple[int, int] | None]:
    """``(end of low RAM, unaccepted bytes, table)`` of a memory map with unaccepted ranges, or without."""
    low = [
        entry.physical_end
        for entry in descriptors
        if entry.physical_end <= 4 * GIB and entry.memory_type not in NOT_RAM
    ]
    unaccepted = sum(entry.size for entry in descriptors if entry.memory_type == EfiMemoryType.EfiUnacceptedMemoryType)
    span = table_span(descriptors)
    return max(low, default=0), unaccepted, None if span is None else (_POOL_OFFSET, TABLE_HEADER_SIZE + span[1])
