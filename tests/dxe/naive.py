"""The page allocator once more, page by page: an array with one cell a page, searched with ``bytes.rfind``.

Nothing here knows of ranges, so nothing here can make a range's mistakes.
"""

from __future__ import annotations

from typing import Final

from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.memory.bins import Bins
from tdvfsh.uefi.memory import EFI_MEMORY_CPU_CRYPTO, EfiGcdMemoryType, EfiMemoryType
from tdvfsh.units import MIB, PAGE_SHIFT, PAGE_SIZE

HOLE: Final = 0
UNACCEPTED: Final = 1
_FREE: Final = int(EfiMemoryType.EfiConventionalMemory)
_CHUNK_PAGES: Final = 32 * MIB >> PAGE_SHIFT
_MAX: Final = (1 << 64) - 1
_REFUSED: Final = frozenset({7, 14, 15, *range(16, 32)})


class NaivePages:
    """Cells of a small machine.

    Args:
        pages: How many pages the array covers, from address 0.
        bins: The memory type bins.
        on_demand: Whether AllocatePages and AllocatePool accept for themselves (option 1).
    """

    def __init__(self, pages: int, bins: Bins, on_demand: bool) -> None:
        self.cells = bytearray(pages)
        self.bins = list(bins)
        self.on_demand = on_demand
        self._codes: dict[tuple[int, int], int] = {(_FREE, 0): 2, (_FREE, EFI_MEMORY_CPU_CRYPTO): 3}
        self._meaning: dict[int, tuple[int, int]] = {code: key for key, code in self._codes.items()}

    def code(self, memory_type: int, attribute: int) -> int:
        """The cell value of a type with an attribute."""
        key = memory_type, attribute
        if key not in self._codes:
            self._codes[key] = len(self._codes) + 2
            self._meaning[self._codes[key]] = key
        return self._codes[key]

    def picture(self, core: DxeCore) -> bytearray:
        """The same array, painted from a core's ranges; every page must be painted once."""
        cells = bytearray(len(self.cells))
        painted = 0
        for entry in core.memory_map:
            low, high = entry.start >> PAGE_SHIFT, entry.end >> PAGE_SHIFT
            cells[low:high] = bytes([self.code(entry.memory_type, entry.attribute)]) * (high - low)
            painted += high - low
        for space in core.gcd.of_type(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted):
            low, high = space.start >> PAGE_SHIFT, space.end >> PAGE_SHIFT
            cells[low:high] = bytes([UNACCEPTED]) * (high - low)
            painted += high - low
        assert painted == len(cells) - cells.count(HOLE), "a page stands in two descriptors"
        return cells

    def find(self, maximum: int, pages: int, memory_type: int) -> int:
        """FindFreePages: the first page number, or 0."""
        lowest = min((area.start for area in self.bins), default=_MAX + 1)
        own = next((area for area in self.bins if area.memory_type == memory_type), None)
        passes = [(0, maximum)]
        if maximum >= lowest - 1:
            passes.insert(0, (0, lowest - 1))
        if own is not None and maximum >= own.end - 1:
            passes.insert(0, (own.start, own.end - 1))
        for low, high in passes:
            if high < PAGE_SIZE - 1 or pages == 0 or pages > len(self.cells):
                continue
            limit = min((high + 1) >> PAGE_SHIFT, len(self.cells))
            if (high + 1) % PAGE_SIZE:
                limit = min(((high - PAGE_SIZE) >> PAGE_SHIFT) + 1, limit)
            found = max(self.cells.rfind(bytes([code]) * pages, low >> PAGE_SHIFT, limit) for code in (2, 3))
            if found > 0:
                return found
        return 0

    def take(self, page: int, pages: int, memory_type: int) -> None:
        """Make free pages used ones."""
        attribute = self._meaning[self.cells[page]][1]
        self.cells[page : page + pages] = bytes([self.code(memory_type, attribute)]) * pages

    def allocate(self, allocate_type: int, memory_type: int, pages: int, memory: int) -> tuple[str, int]:
        """AllocatePages: status and address."""
        if allocate_type > 2 or memory_type in _REFUSED:
            return "EFI_INVALID_PARAMETER", memory
        if allocate_type == 2:
            return self._allocate_at(memory_type, pages, memory), memory
        maximum = memory if allocate_type == 1 else _MAX
        page = self.find(maximum, pages, memory_type)
        if page == 0 and self.on_demand:
            accepted, memory = self.accept_chunk(pages << PAGE_SHIFT, memory if allocate_type == 1 else None, memory)
            if accepted:
                page = self.find(memory if allocate_type == 1 else _MAX, pages, memory_type)
        if page == 0:
            return "EFI_OUT_OF_RESOURCES", memory
        self.take(page, pages, memory_type)
        return "EFI_SUCCESS", page << PAGE_SHIFT

    def _allocate_at(self, memory_type: int, pages: int, memory: int) -> str:
        page, rest = divmod(memory, PAGE_SIZE)
        if rest or page == 0 or pages == 0:
            return "EFI_NOT_FOUND"
        end = memory + (pages << PAGE_SHIFT)
        for area in self.bins:
            if area.memory_type != memory_type and memory < area.end and area.start < end:
                return "EFI_NOT_FOUND"
        wanted = self.cells[page : page + pages]
        if len(wanted) < pages or (wanted.count(2) != pages and wanted.count(3) != pages):
            return "EFI_NOT_FOUND"
        self.take(page, pages, memory_type)
        return "EFI_SUCCESS"

    def accept_chunk(self, size: int, limit: int | None, memory: int) -> tuple[bool, int]:
        """Option 1: the size rounded up to 32 MiB, from the low end of the first unaccepted range that holds it."""
        pages = -(-size // (32 * MIB)) * _CHUNK_PAGES
        if pages == 0:
            return False, memory
        if limit is not None:
            if limit < PAGE_SIZE - 1:
                return False, memory
            if (limit + 1) % PAGE_SIZE:
                limit = limit // PAGE_SIZE * PAGE_SIZE - 1
            memory = limit
        start = self.cells.find(UNACCEPTED)
        while start >= 0:
            end = start
            while end < len(self.cells) and self.cells[end] == UNACCEPTED:
                end += 1
            reaches = limit is None or (start + pages << PAGE_SHIFT) - 1 <= limit
            if end - start >= pages and reaches:
                self.cells[start : start + pages] = bytes([3]) * pages
                return True, memory
            start = self.cells.find(UNACCEPTED, end)
        return False, memory

    def free(self, memory: int, pages: int) -> str:
        """FreePages: page by page, up to the first that cannot be freed."""
        page, rest = divmod(memory, PAGE_SIZE)
        if page >= len(self.cells) or self.cells[page] in (HOLE, UNACCEPTED):
            return "EFI_NOT_FOUND"
        if rest or pages == 0:
            return "EFI_INVALID_PARAMETER"
        for place in range(page, page + pages):
            cell = self.cells[place] if place < len(self.cells) else HOLE
            if cell in (HOLE, UNACCEPTED, 2, 3):
                return "EFI_NOT_FOUND"
            self.cells[place] = self.code(_FREE, self._meaning[cell][1])
        return "EFI_SUCCESS"

    def accept(self, memory: int, size: int) -> str:
        """AcceptMemory()."""
        if memory % PAGE_SIZE or size % PAGE_SIZE or size == 0:
            return "EFI_INVALID_PARAMETER"
        low, high = memory >> PAGE_SHIFT, (memory + size) >> PAGE_SHIFT
        cells = self.cells[low:high]
        if len(cells) < high - low or HOLE in cells:
            return "EFI_NOT_FOUND"
        self.cells[low:high] = cells.replace(bytes([UNACCEPTED]), bytes([3]))
        return "EFI_SUCCESS"
