"""What Linux's early allocator, memblock, allocates, and where: from the top of free memory downwards.

Only allocations that decide which units of 2 MiB are touched are here. The many small ones fit into what alignment
leaves between them.

Source: Linux 6.12 mm/memblock.c (memblock_alloc_range_nid, __memblock_find_range_top_down), mm/sparse.c
(memory_present, sparse_init_nid; 7.2 populates mm/sparse-vmemmap.c section by section, in the same places),
arch/x86/include/asm/sparsemem.h (MAX_PHYSMEM_BITS), mm/percpu.c (pcpu_build_alloc_info, pcpu_embed_first_chunk),
mm/mm_init.c (alloc_large_system_hash), fs/dcache.c and fs/inode.c, arch/x86/mm/mem_encrypt.c
(mem_encrypt_setup_arch), kernel/dma/swiotlb.c. Sizes of structures: as the console of 6.12 and 7.2 tells them, with
memblock=debug.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.linux.os_memory import Ranges, joined, size_of
from tdvfsh.units import GIB, KIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE, align_down, align_up

SECTION: Final = 128 * MIB
"""A section of sparse memory: its struct pages take 2 MiB."""
_STRUCT_PAGES: Final = 2 * MIB
_CACHE_LINE: Final = 64
_LOW_LIMIT: Final = 4 * GIB
_NODE_DATA: Final = 0x2A980
_ADDRESS_BITS: Final = {True: 52, False: 46}  # with five levels of paging, with four
_POINTER: Final = 8
_SECTION_ENTRY: Final = {True: 32, False: 16}  # struct mem_section, with page extensions and without
_PER_CPU: Final = 66 * PAGE_SIZE
_BUCKET: Final = 8
_DENTRY_SCALE: Final = 13
_INODE_SCALE: Final = 14
_ADAPT_FROM: Final = 64 * GIB
_BOUNCE_SLAB: Final = 2 * KIB
_BOUNCE_SLOT: Final = 24  # struct io_tlb_slot
_BOUNCE_SEGMENT: Final = 128
_LEAST_BOUNCE: Final = 64 * MIB
_MOST_BOUNCE: Final = GIB


class Memblock:
    """The free memory, and what was taken of it by which user.

    Args:
        free: Unreserved ranges, ascending.
    """

    def __init__(self, free: Ranges) -> None:
        self.free = list(free)

    def allocate(self, size: int, alignment: int = _CACHE_LINE, limit: int = 1 << 64) -> tuple[int, int] | None:
        """The highest place below ``limit`` where ``size`` bytes fit; None where they fit nowhere."""
        for index in range(len(self.free) - 1, -1, -1):
            start, end = self.free[index]
            low = align_down(max(0, min(end, limit) - size), alignment)
            if low >= start and low + size <= min(end, limit):
                pieces = ((start, low), (low + size, end))
                self.free[index : index + 1] = [piece for piece in pieces if piece[0] < piece[1]]
                return low, low + size
        return None

    def allocate_many(self, count: int, size: int) -> Ranges:
        """``count`` pieces of ``size`` bytes, aligned to their size, each in the highest place that is left."""
        taken: Ranges = []
        for start, end in reversed(self.free):
            low, high = align_up(start, size), align_down(end, size)
            number = min(count, (high - low) // size)
            if number > 0:
                taken.append((high - number * size, high))
                count -= number
            if not count:
                break
        for start, end in taken:
            self._remove(start, end)
        return taken

    def release(self, start: int, end: int) -> None:
        """Return part of what was taken."""
        self.free = joined([*self.free, (start, end)])

    def _remove(self, start: int, end: int) -> None:
        index = next(at for at, (low, high) in enumerate(self.free) if low <= start and end <= high)
        low, high = self.free[index]
        self.free[index : index + 1] = [piece for piece in ((low, start), (end, high)) if piece[0] < piece[1]]


@dataclass(frozen=True, slots=True)
class EarlyMemory:
    """What early boot has taken.

    Attributes:
        taken: Byte ranges in the order in which they were taken.
        struct_pages: Bytes of them for struct pages.
        bounce_buffers: For the software I/O TLB, through which a TD's devices reach memory.
        hash_tables: For directory entries and inodes.
    """

    taken: Ranges
    struct_pages: int
    bounce_buffers: int
    hash_tables: int


def early_allocations(
    memblock: Memblock, spans: Sequence[tuple[int, int]], vcpus: int, section_roots: int
) -> EarlyMemory:
    """Take what the kernel takes before its page allocator starts.

    Args:
        memblock: The free memory; it is changed.
        spans: RAM as byte ranges.
        vcpus: Processors that may be there.
        section_roots: What :func:`section_roots_size` says of the kernel.
    """
    taken: Ranges = []

    def take(size: int, alignment: int = _CACHE_LINE, limit: int = 1 << 64) -> tuple[int, int] | None:
        place = memblock.allocate(size, alignment, limit)
        if place is not None:
            taken.append(place)
        return place

    ram = size_of(spans)
    take(PAGE_SIZE, PAGE_SIZE)
    take(_NODE_DATA)
    take(section_roots)
    maps = memblock.allocate_many(sections(spans, SECTION), _STRUCT_PAGES)
    taken += maps
    struct_pages = size_of(maps)
    _per_cpu(memblock, taken, vcpus)
    for_tables = size_of(memblock.free)
    tables = [hash_table_size(for_tables, ram, scale) for scale in (_DENTRY_SCALE, _INODE_SCALE)]
    for size in tables:
        take(size)
    bounce = bounce_buffer_size(ram, vcpus)
    while take(bounce, PAGE_SIZE, _LOW_LIMIT) is None:
        if bounce <= MIB:
            bounce = 0
            break
        bounce = align_up(bounce // 2, _BOUNCE_SEGMENT * _BOUNCE_SLAB)
    if bounce:
        take(align_up(bounce // _BOUNCE_SLAB * _BOUNCE_SLOT, PAGE_SIZE), PAGE_SIZE)
    return EarlyMemory(taken, struct_pages, bounce, sum(tables))


def section_roots_size(page_extensions: bool, five_levels: bool) -> int:
    """Bytes of pointers to pages of ``struct mem_section``, for all addresses that the kernel could have.

    Args:
        page_extensions: Whether it is configured with them, as Debian's cloud flavour is not.
        five_levels: Whether it uses five-level paging.
    """
    per_root = PAGE_SIZE // _SECTION_ENTRY[page_extensions]
    return _POINTER * ((1 << _ADDRESS_BITS[five_levels]) // SECTION // per_root)


def sections(spans: Sequence[tuple[int, int]], size: int) -> int:
    """How many pieces of ``size`` bytes, aligned, have RAM in them."""
    count = reached = 0
    for start, end in spans:
        first, last = max(start // size, reached), -(-end // size)
        count += max(0, last - first)
        reached = max(reached, last)
    return count


def hash_table_size(free: int, ram: int, scale: int) -> int:
    """Bytes of a table with a bucket for each ``2**scale`` bytes of ``free`` memory, fewer from 64 GiB on.

    Args:
        free: Bytes that are free when the table is made.
        ram: Bytes of RAM; no table takes more than a sixteenth of it.
        scale: 13 for directory entries, 14 for inodes.
    """
    pages = align_up(free, MIB) // PAGE_SIZE
    adapt = _ADAPT_FROM // PAGE_SIZE
    while adapt < pages:
        adapt <<= 2
        scale += 1
    buckets = max(pages * PAGE_SIZE >> scale, PAGE_SIZE // _BUCKET)
    most = max(1, ram // 16 // _BUCKET)
    return _BUCKET << min(_power_of_two(buckets), most).bit_length() - 1


def bounce_buffer_size(ram: int, vcpus: int) -> int:
    """Bytes of the software I/O TLB: 6 % of RAM, 64 MiB to 1 GiB, and then the next power of two.

    Args:
        ram: Bytes of RAM.
        vcpus: Each has an area of its own, 256 KiB at least.
    """
    size = min(max(ram * 6 // 100, _LEAST_BOUNCE), _MOST_BOUNCE)
    return _power_of_two(max(size, _power_of_two(vcpus) * _BOUNCE_SEGMENT * _BOUNCE_SLAB))


def _per_cpu(memblock: Memblock, taken: Ranges, vcpus: int) -> None:
    """The first chunk: processors share pieces of 2 MiB, and what a processor does not need is given back."""
    share = LARGE_PAGE_SIZE // _PER_CPU
    while LARGE_PAGE_SIZE % share or LARGE_PAGE_SIZE // share % PAGE_SIZE:
        share -= 1
    while share > 1 and -(-vcpus // share) * share - vcpus > vcpus // 3:
        share //= 2
    place = memblock.allocate(-(-vcpus // share) * LARGE_PAGE_SIZE, LARGE_PAGE_SIZE)
    if place is None:
        return
    taken.append(place)
    unit = LARGE_PAGE_SIZE // share
    for number, start in enumerate(range(place[0], place[1], unit)):
        memblock.release(start + (_PER_CPU if number < vcpus else 0), start + unit)


def _power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()
