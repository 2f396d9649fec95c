"""From a linear address to a physical one by the guest's own page tables.

Source: Intel SDM volume 3, 4.5.
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_typing import Final, NamedTuple

_ENTRY: Final = struct.Struct("<Q")
_ADDRESS: Final = 0x000F_FFFF_FFFF_F000
_PRESENT: Final = 1
_WRITABLE: Final = 1 << 1
_LARGE: Final = 1 << 7
_LEVELS: Final = (48, 39, 30, 21, 12)
_LARGEST: Final = 30
_FIVE_LEVELS: Final = 1 << 12  # CR4.LA57


class Mapping(NamedTuple):
    """Translation of a linear address.

    Attributes:
        physical: Guest physical address, the shared bit included.
        entry: Address of the entry that maps it.
        value: That entry.
        size: Bytes that it maps.
        writable: Whether no entry on the way to it forbids writes.
    """

    physical: int
    entry: int
    value: int
    size: int
    writable: bool = True


def walk(view: memoryview, cr3: int, linear: int, shared_mask: int = 0, cr4: int = 0) -> Mapping | None:
    """The mapping of ``linear`` in 4- or 5-level paging, or None where it is not present or is not an address.

    Args:
        view: RAM by guest physical address.
        cr3: CR3.
        linear: The address.
        shared_mask: The shared bit, which is not an address bit where tables are read.
        cr4: CR4, which says how many levels there are.
    """
    levels = _LEVELS if cr4 & _FIVE_LEVELS else _LEVELS[1:]
    top = levels[0] + 8
    if linear >> top not in (0, (1 << 64 - top) - 1):
        return None
    table = cr3 & _ADDRESS & ~shared_mask
    end = len(view)
    permissions = _WRITABLE
    for shift in levels:
        at = table + (linear >> shift & 511) * 8
        if at + 8 > end:
            return None
        value = _ENTRY.unpack_from(view, at)[0]
        if not value & _PRESENT or (shift > _LARGEST and value & _LARGE):
            return None
        permissions &= value
        if shift == 12 or value & _LARGE:
            size = 1 << shift
            physical = (value & _ADDRESS & -size) | (linear & (size - 1))
            return Mapping(physical, at, value, size, bool(permissions))
        table = value & _ADDRESS & ~shared_mask
    return None
