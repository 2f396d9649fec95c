"""Hand-off blocks: types, layouts, resource types and attributes.

Source: PI 1.8 volume 3 chapter 5; edk2 MdePkg/Include/Pi/PiHob.h and PiBootMode.h.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

from tdvfsh.lazy_typing import Final


class HobType(IntEnum):
    """HobType of the generic header."""

    HANDOFF = 0x0001
    MEMORY_ALLOCATION = 0x0002
    RESOURCE_DESCRIPTOR = 0x0003
    GUID_EXTENSION = 0x0004
    FV = 0x0005
    CPU = 0x0006
    MEMORY_POOL = 0x0007
    FV2 = 0x0009
    LOAD_PEIM_UNUSED = 0x000A
    UEFI_CAPSULE = 0x000B
    FV3 = 0x000C
    UNUSED = 0xFFFE
    END_OF_HOB_LIST = 0xFFFF


class ResourceType(IntEnum):
    """ResourceType of a resource descriptor."""

    SYSTEM_MEMORY = 0
    MEMORY_MAPPED_IO = 1
    IO = 2
    FIRMWARE_DEVICE = 3
    MEMORY_MAPPED_IO_PORT = 4
    MEMORY_RESERVED = 5
    IO_RESERVED = 6
    MEMORY_UNACCEPTED = 7


class ResourceAttribute(IntFlag):
    """The attribute bits of a resource descriptor that the TD HOB list uses."""

    PRESENT = 0x1
    INITIALIZED = 0x2
    TESTED = 0x4
    ENCRYPTED = 0x04000000


RESOURCE_ATTRIBUTE_KNOWN_MASK: Final = 0x0FFFFFFF
"""Every bit that PI 1.8 defines."""

RESOURCE_ATTRIBUTES_TESTED: Final = 0x7
"""PRESENT | INITIALIZED | TESTED, what QEMU writes on every entry."""

BOOT_MODES: Final = frozenset({0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12, 0x20})
"""BootMode values that OVMF's check of the VMM's list lets through."""

HOB_HEADER: Final = struct.Struct("<HHI")
"""HobType, HobLength, Reserved."""
HOB_HANDOFF: Final = struct.Struct("<HHIIIQQQQQ")
"""Header, Version, BootMode, MemoryTop, MemoryBottom, FreeMemoryTop, FreeMemoryBottom, EndOfHobList."""
HOB_RESOURCE_DESCRIPTOR: Final = struct.Struct("<HHI16sIIQQ")
"""Header, Owner, ResourceType, ResourceAttribute, PhysicalStart, ResourceLength."""
HANDOFF_VERSION: Final = 9
