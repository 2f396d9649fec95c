"""AllocatePool and FreePool.

Small requests come from size-class lists inside pages, larger ones are whole pages; every block carries a 24-byte head
and a 16-byte tail, so a pointer is its block plus 0x18.

Source: edk2 MdeModulePkg/Core/Dxe/Mem/Pool.c; held by tests/dxe/memory/test_pool.py and the recordings (group G7).
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache

from tdvfsh.dxe.memory.bins import MAX_ADDRESS
from tdvfsh.dxe.memory.memory_map import CONVENTIONAL
from tdvfsh.dxe.memory.pages import PageAllocator, memory_type_refused
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import OEM_MEMORY_TYPE_FIRST, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE, pages_for

POOL_HEAD_SIZE: Final = 24
POOL_OVERHEAD: Final = 40
BLOCK_SIZES: Final = (128, 256, 384, 640, 1024, 1664, 2688)
"""Size classes below a page; a request that needs more than the last is served in whole pages."""

_POOL_HEADER_REQUEST: Final = 232  # sizeof (POOL): an OEM or OS loader type's list heads, themselves from a pool

_new: Final = tuple.__new__  # of a PoolResult: what its constructor does, in half the time


class PoolResult(NamedTuple):
    """``buffer`` is the address on success, 0 where memory ran out, None where the pointer was left alone."""

    status: EfiStatus
    buffer: int | None


class _Pool:
    """The free blocks of one memory type: a stack per size class, and each page's blocks."""

    __slots__ = ("free", "header", "used")

    def __init__(self) -> None:
        self.free: tuple[list[int], ...] = tuple([[] for _ in BLOCK_SIZES])
        self.header = 0
        self.used = 0

    def copy(self) -> _Pool:
        twin = object.__new__(_Pool)
        twin.free = tuple([blocks.copy() for blocks in self.free])
        twin.header = self.header
        twin.used = self.used
        return twin


@cache
def _cuts(room: int, below: int) -> tuple[tuple[int, int], ...]:
    """Offset and class of the blocks into which ``room`` bytes are cut, each smaller than class ``below``."""
    cuts: list[tuple[int, int]] = []
    offset = 0
    for index in range(below - 1, -1, -1):
        while room - offset >= BLOCK_SIZES[index]:
            cuts.append((offset, index))
            offset += BLOCK_SIZES[index]
    return tuple(cuts)


class PoolAllocator:
    """The pools of all memory types, over one page allocator."""

    __slots__ = ("_blocks", "_free_class", "_pages", "_pools", "pages")

    def __init__(self, pages: PageAllocator) -> None:
        self.pages = pages
        self._pools: dict[int, _Pool] = {}
        self._blocks: dict[int, tuple[int, int]] = {}  # block in use → (memory type, bytes with overhead)
        self._free_class: dict[int, int] = {}  # free block → size class
        self._pages: dict[int, int] = {}  # page cut into blocks → memory type

    def copy(self, pages: PageAllocator) -> PoolAllocator:
        """An independent copy over ``pages``."""
        twin = PoolAllocator(pages)
        twin._pools = {memory_type: pool.copy() for memory_type, pool in self._pools.items()}
        twin._blocks = self._blocks.copy()
        twin._free_class = self._free_class.copy()
        twin._pages = self._pages.copy()
        return twin

    def allocate_pool(self, memory_type: int, size: int, has_buffer: bool = True) -> PoolResult:
        """AllocatePool.

        Args:
            memory_type: As for AllocatePages; generations before 2023 also accept EfiUnacceptedMemoryType.
            size: Bytes; 0 is legal.
            has_buffer: False stands for a NULL Buffer pointer.

        Returns:
            EFI_INVALID_PARAMETER: A memory type that may not be asked for, or no Buffer.
            EFI_OUT_OF_RESOURCES: No room; Buffer is set to NULL.
        """
        is_plain = 0 <= memory_type < CONVENTIONAL  # as nearly all are
        if not has_buffer or (
            not is_plain and memory_type_refused(memory_type, self.pages.profile.pool_rejects_unaccepted)
        ):
            return PoolResult(EfiStatus.EFI_INVALID_PARAMETER, None)
        if size > MAX_ADDRESS - POOL_OVERHEAD:
            return PoolResult(EfiStatus.EFI_OUT_OF_RESOURCES, 0)
        block = self._allocate(memory_type, size)
        if block == 0:
            return PoolResult(EfiStatus.EFI_OUT_OF_RESOURCES, 0)
        return _new(PoolResult, (SUCCESS, block + POOL_HEAD_SIZE))

    def free_pool(self, buffer: int) -> EfiStatus:
        """FreePool.

        Returns:
            EFI_INVALID_PARAMETER: NULL, or no block in use begins there.
        """
        block = buffer - POOL_HEAD_SIZE
        known = self._blocks.pop(block, None)
        if known is None:
            return EfiStatus.EFI_INVALID_PARAMETER
        memory_type, size = known
        pool = self._pools[memory_type]
        pool.used -= size
        index = bisect_left(BLOCK_SIZES, size)
        if index == len(BLOCK_SIZES):
            self.pages.free_pages(block, pages_for(size))
        else:
            self._give_block(pool, block, index)
            self._return_page_if_free(pool, block & -PAGE_SIZE)
        if pool.header and pool.used == 0:
            del self._pools[memory_type]
            self.free_pool(pool.header)
        return SUCCESS

    def type_of(self, buffer: int) -> int | None:
        """The memory type of a buffer in use, or None."""
        known = self._blocks.get(buffer - POOL_HEAD_SIZE)
        return None if known is None else known[0]

    def next_block(self, memory_type: int, size: int) -> int | None:
        """The free block from which a request of ``size`` bytes would be served now; None where it takes pages."""
        index = bisect_left(BLOCK_SIZES, -(-size // 8) * 8 + POOL_OVERHEAD)
        pool = self._pools.get(memory_type)
        if pool is not None:
            for blocks in pool.free[index:]:
                if blocks:
                    return blocks[-1]
        return None

    def free_blocks(self, memory_type: int) -> set[int]:
        """The addresses of all free blocks of a type."""
        pool = self._pools.get(memory_type)
        return set() if pool is None else {block for blocks in pool.free for block in blocks}

    def is_free(self, block: int) -> bool:
        """Whether ``block`` begins a free block or lies in one."""
        return any(start <= block < start + BLOCK_SIZES[index] for start, index in self._free_class.items())

    def forget_free_block(self, block: int) -> None:
        """Drop a free block that turned out not to be there, or to lie elsewhere."""
        index = self._free_class.pop(block)
        for pool in self._pools.values():
            if block in pool.free[index]:
                pool.free[index].remove(block)

    def owns_page(self, memory_type: int, buffer: int) -> bool:
        """Whether the page of ``buffer`` is one that the pool of ``memory_type`` cut into blocks itself."""
        return self._pages.get(buffer & -PAGE_SIZE) == memory_type

    def adopt_buffer(self, memory_type: int, buffer: int, size: int) -> None:
        """Treat ``buffer`` as one that firmware allocated before the model began, with ``size`` bytes asked for."""
        total = -(-size // 8) * 8 + POOL_OVERHEAD
        if buffer - POOL_HEAD_SIZE in self._free_class:
            self.forget_free_block(buffer - POOL_HEAD_SIZE)
        self._pools.setdefault(memory_type, _Pool()).used += total
        self._blocks[buffer - POOL_HEAD_SIZE] = (memory_type, total)

    def adopt_free_block(self, memory_type: int, block: int, size: int) -> None:
        """Treat ``block`` as a free one of the smallest class that holds ``size`` bytes with overhead."""
        self._give_block(self._pools.setdefault(memory_type, _Pool()), block, bisect_left(BLOCK_SIZES, size))

    def forget_pages(self, start: int, end: int) -> None:
        """Drop what is known of blocks in ``[start, end)``, pages that a recording has shown to be no pool's."""
        for page in [page for page in self._pages if start <= page < end]:
            del self._pages[page]
        for block in [block for block in self._free_class if start <= block < end]:
            self.forget_free_block(block)
        for block in [block for block in self._blocks if start <= block < end]:
            del self._blocks[block]

    def adopt_free_blocks(self, memory_type: int, page: int) -> None:
        """Treat ``page``, which the firmware holds already, as pool memory with nothing in it.

        A running firmware's pools have room left in pages they took long ago, so its small requests do not show in the
        memory map. The page is never given back, for firmware's own blocks live there too.
        """
        pool = self._pools.setdefault(memory_type, _Pool())
        self._carve(pool, page + BLOCK_SIZES[0], PAGE_SIZE - BLOCK_SIZES[0], len(BLOCK_SIZES))

    def _allocate(self, memory_type: int, size: int) -> int:
        total = (size + 7 & -8) + POOL_OVERHEAD
        pool = self._pools.get(memory_type) or self._new_pool(memory_type)
        if pool is None:
            return 0
        index = bisect_left(BLOCK_SIZES, total)
        if index == len(BLOCK_SIZES):
            block = self.pages.allocate_pool_pages(memory_type, pages_for(total))
        else:
            block = self._take_block(pool, memory_type, index)
        if block:
            pool.used += total
            self._blocks[block] = (memory_type, total)
        return block

    def _new_pool(self, memory_type: int) -> _Pool | None:
        pool = _Pool()
        if memory_type >= OEM_MEMORY_TYPE_FIRST:
            header = self._allocate(EfiMemoryType.EfiBootServicesData, _POOL_HEADER_REQUEST)
            if header == 0:
                return None
            pool.header = header + POOL_HEAD_SIZE
        self._pools[memory_type] = pool
        return pool

    def _take_block(self, pool: _Pool, memory_type: int, index: int) -> int:
        """A block of class ``index``: the last one freed, else the head of a larger one, else of a new page.

        Where a caller freed a page of the pool with FreePages, two pools may come to have the same block on their
        lists, as in firmware; here the first to take it has it.
        """
        for larger in range(index, len(BLOCK_SIZES)):
            blocks = pool.free[larger]
            while blocks:
                block = blocks.pop()
                if self._free_class.get(block) != larger:
                    continue
                del self._free_class[block]
                if larger > index:
                    self._carve(pool, block + BLOCK_SIZES[index], BLOCK_SIZES[larger] - BLOCK_SIZES[index], larger)
                return block
        block = self.pages.allocate_pool_pages(memory_type, 1)
        if block:
            self._pages[block] = memory_type
            self._carve(pool, block + BLOCK_SIZES[index], PAGE_SIZE - BLOCK_SIZES[index], len(BLOCK_SIZES))
        return block

    def _carve(self, pool: _Pool, address: int, room: int, below: int) -> None:
        """Cut ``room`` bytes into blocks, largest class first, each smaller than class ``below``."""
        for offset, index in _cuts(room, below):
            pool.free[index].append(address + offset)
            self._free_class[address + offset] = index

    def _give_block(self, pool: _Pool, block: int, index: int) -> None:
        pool.free[index].append(block)
        self._free_class[block] = index

    def _return_page_if_free(self, pool: _Pool, page: int) -> None:
        offset = 0
        blocks = []
        while offset < PAGE_SIZE:
            index = self._free_class.get(page + offset)
            if index is None:
                return
            blocks.append((page + offset, index))
            offset += BLOCK_SIZES[index]
        for block, index in blocks:
            if block in pool.free[index]:
                pool.free[index].remove(block)
            del self._free_class[block]
        self._pages.pop(page, None)
        self.pages.free_pages(page, 1)
