"""Where the engine keeps what real firmware keeps in memory: its tables, stack, page tables and interface structures.

The modelled firmware's footprint already holds these, so they go into pages that are its own and no allocation of the
guest lands elsewhere than in the model.
"""

from __future__ import annotations

from tdvfsh.engine.errors import EngineError
from tdvfsh.lazy_typing import Final
from tdvfsh.machine.machine import Machine
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, align_up, pages_for

_POOL_PAGES: Final = 64  # at the top of the block: pool memory of the modelled firmware
_GRANULE: Final = 16


def find_area(machine: Machine, memory_type: EfiMemoryType, size: int, alignment: int = PAGE_SIZE) -> int:
    """Start of ``size`` bytes inside the firmware's own memory of one type that it never frees or uses as pool.

    Where the footprint is too small for that, as an imported map may be, pages are allocated.

    Raises:
        EngineError: No room at all.
    """
    core = machine.services.core
    blocks = sorted(
        ((entry.start, entry.end) for entry in core.memory_map if entry.memory_type == memory_type),
        key=lambda block: block[0] - block[1],
    )
    calls = machine.firmware_calls()
    freed = [(call.address, call.pages << PAGE_SHIFT) for call in calls if call.address is not None]
    pool_bytes = _POOL_PAGES * PAGE_SIZE if memory_type is EfiMemoryType.EfiBootServicesData else 0
    for start, end in blocks:
        at = align_up(start, alignment)
        for low, length in sorted(freed):
            if at < low + length and low < at + size:
                at = align_up(low + length, alignment)
        if at + size <= end - pool_bytes:
            return at
    pages = pages_for(size + alignment - PAGE_SIZE)
    status, start = core.pages.allocate_pages(EfiAllocateType.AllocateAnyPages, memory_type, pages, 0)
    if status.is_error:
        raise EngineError("the firmware has no memory for its own tables")
    return align_up(start, alignment)


class FirmwareHeap:
    """Small pieces of memory of the firmware's own, handed out by size class.

    Args:
        start: First byte address.
        end: First byte after it.
    """

    def __init__(self, start: int, end: int) -> None:
        self._next = align_up(start, _GRANULE)
        self._end = end
        self._sizes: dict[int, int] = {}
        self._free: dict[int, list[int]] = {}

    def allocate(self, size: int) -> int:
        """Address of ``size`` bytes, 16-byte aligned; what they hold is the caller's to fill.

        Raises:
            EngineError: The memory is used up.
        """
        size = align_up(max(size, 1), _GRANULE)
        free = self._free.get(size)
        if free:
            address = free.pop()
        else:
            address = self._next
            if address + size > self._end:
                raise EngineError("the firmware's own memory is used up: a program keeps opening things")
            self._next += size
        self._sizes[address] = size
        return address

    def free(self, address: int) -> None:
        """Free a piece; an address that is not one is ignored."""
        size = self._sizes.pop(address, None)
        if size is not None:
            self._free.setdefault(size, []).append(address)
