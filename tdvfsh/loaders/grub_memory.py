"""GRUB's memory on x86_64-efi: its page allocations and its heap.

Source: GRUB grub-core/kern/efi/mm.c of 2.06 and 2.12; sizes as recorded from Debian's signed images
(tests/recordings/trace); what fills the heap is inferred from when boots failed. Verifiers: grub-core/kern/verifiers.c,
grub-core/commands/tpm.c and grub-core/commands/efi/tpm.c of 2.06, 2.12 and 2.14.
"""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.accept.needs import Need
from tdvfsh.dxe.memory_services import MemoryMapResult
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.boot_manager import load_from_disk
from tdvfsh.loaders.flow import START_IMAGE, BootFlow, shortage
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, KIB, MIB, PAGE_SIZE, align_down, align_up, pages_for

HEAP_SIZE: Final = 32 * MIB
HEAP_MINIMUM_ADDRESS: Final = 1 * MIB
HEAP_LEAST: Final = 1 * MIB
HEAP_MOST: Final = 1600 * MIB
HEAP_GROWTH: Final = 1 * MIB
MEASURED_FILE: Final = "measured_file"
"""The placement of a region of the heap that holds a file for a verifier."""

_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_MAX: Final = EfiAllocateType.AllocateMaxAddress
_MAP_BUFFERS_SIZE: Final = 2 * 0x3000
_TRACKING_SIZE: Final = 0x18  # struct efi_allocation: GRUB keeps one for each of its page allocations
_CACHE_BYTES: Final = 32 * KIB
_CACHE_LINE: Final = _CACHE_BYTES + 32  # one disk-cache entry with its heap header
_CACHE_LINES: Final = 1021
_REGION_OVERHEAD: Final = 2 * PAGE_SIZE
_HEAP_BASE: Final = 3 * MIB + MIB // 2
"""What modules, fonts and menus take of the heap (recorded: 3 to 4 MiB)."""


WITH_ANYTHING: Final = frozenset({"none", "cc", "tpm"})
WITH_TPM: Final = frozenset({"tpm"})
WITH_TPM_OR_CC: Final = frozenset({"cc", "tpm"})


@dataclass(frozen=True, slots=True)
class GrubBuild:
    """One GRUB binary.

    Attributes:
        name: As ``--loader`` names it.
        file_size: Bytes of the EFI file that the boot manager reads.
        image_size: Its SizeOfImage.
        own_pe_loader: It loads the kernel's image itself (Debian's peimage) instead of calling LoadImage.
        loads_by_shim: Where shim is there it has shim load images, which firmware then does not look at (2.14).
        quarter_heap: Its heap is a quarter of usable memory, taken once (up to 2.06), not 32 MiB that grow.
        verifies_with: What firmware has to offer (:attr:`BootFlow.measurement`) for its TPM module to register a
            verifier, which wants each file whole, in one block of the heap: 2.06 asks for nothing, 2.12 for a TPM, and
            2.14 is content with CC measurement. Empty without that module.
        limit: Last byte address that it uses (GRUB_EFI_MAX_USABLE_ADDRESS).
    """

    name: str
    file_size: int
    image_size: int
    own_pe_loader: bool = False
    loads_by_shim: bool = False
    quarter_heap: bool = False
    verifies_with: frozenset[str] = WITH_TPM
    limit: int = 4 * GIB - 1


GRUB_2_12: Final = GrubBuild("grub2.12", 0x28F5C0, 0x28F000)
GRUB_2_12_DEBIAN: Final = replace(GRUB_2_12, name="grub2.12-debian", own_pe_loader=True)
GRUB_2_14: Final = replace(
    GRUB_2_12,
    name="grub2.14",
    file_size=0x2C35C0,
    image_size=0x2C3000,
    loads_by_shim=True,
    verifies_with=WITH_TPM_OR_CC,
)
GRUB_2_14_DEBIAN: Final = replace(GRUB_2_14, name="grub2.14-debian", own_pe_loader=True)
GRUB_2_06: Final = GrubBuild("grub2.06", 0x3FD5C0, 0x3FD000, quarter_heap=True, verifies_with=WITH_ANYTHING)
GRUB_RED_HAT: Final = replace(GRUB_2_12, name="grub-rh", limit=2 * GIB - 1)
GRUB_CHAINLOADER: Final = replace(GRUB_2_12, name="chainloader")


class Grub:
    """One running GRUB.

    Args:
        flow: The boot.
        build: Which GRUB.

    Attributes:
        heap: ``(start, end)`` of its heap's first and largest region; None before it has one.
        limit: Last byte address that it uses.
        verifies: Whether a verifier wants each file whole.
    """

    def __init__(self, flow: BootFlow, build: GrubBuild) -> None:
        self._flow = flow
        self._build = build
        self._services = flow.services
        self._tracking: dict[int, int] = {}
        self._files: list[int] = []
        self._cached = 0
        self._grown = 0
        self._blocks = [HEAP_SIZE - _HEAP_BASE]  # of the heap that grows: its free pieces
        self._held = 0
        self.verifies = flow.measurement in build.verifies_with
        self.heap: tuple[int, int] | None = None
        self.limit = build.limit

    def start(self) -> EfiStatus:
        """From the boot manager's LoadImage until GRUB has its heap.

        Returns:
            EFI_OUT_OF_RESOURCES, EFI_NOT_FOUND: Something found no room; GRUB never shows its menu.
        """
        flow, build = self._flow, self._build
        status = load_from_disk(flow, "grub", build.file_size, build.image_size)
        return status if status.is_error else self.start_heap()

    def start_heap(self) -> EfiStatus:
        """GRUB runs: the first thing it does is to get its heap; EFI_OUT_OF_RESOURCES where it cannot."""
        flow, build = self._flow, self._build
        size = HEAP_LEAST if build.quarter_heap else HEAP_SIZE
        need = Need("heap", size + _MAP_BUFFERS_SIZE, _LOADER_CODE, self.limit, HEAP_MINIMUM_ADDRESS)
        with self._services.trace.on_behalf_of("grub"):
            return flow.run_step(START_IMAGE, [need], self._start_heap)

    def allocate_pages(
        self, kind: EfiAllocateType, memory_type: EfiMemoryType, size: int, memory: int
    ) -> tuple[EfiStatus, int]:
        """grub_efi_allocate_pages_real: the pages, and a pool record by which GRUB remembers them."""
        status, start = self._services.allocate_pages(kind, memory_type, pages_for(size), memory)
        if status is SUCCESS:
            self._tracking[start] = self._services.allocate_pool(_LOADER_DATA, _TRACKING_SIZE).buffer or 0
        return status, start

    def free_pages(self, start: int, size: int) -> None:
        """grub_efi_free_pages: the pages, then the record."""
        self._services.free_pages(start, pages_for(size))
        record = self._tracking.pop(start, 0)
        if record:
            self._services.free_pool(record)

    def open_file(self, size: int) -> EfiStatus:
        """Open a file of ``size`` bytes; a verifier reads it whole into the heap, which grows where it must (2.12).

        Returns:
            EFI_OUT_OF_RESOURCES: It cannot grow so far ("out of memory").
        """
        if not self._verifies_in_growing_heap:
            return SUCCESS
        status = self.hold_file(size, MEASURED_FILE)
        if not status.is_error:
            self.grow()
        return status

    def close_file(self, size: int) -> None:
        """Close it: the verifier's block is free again."""
        if self._verifies_in_growing_heap:
            self.release_file(size)

    def open_needs(self, sizes: Iterable[int]) -> list[Need]:
        """What :meth:`open_file` will ask for beyond the heap that stands, where these files are held together."""
        if not self._verifies_in_growing_heap:
            return []
        blocks, needs = list(self._blocks), []
        for number, size in enumerate(sizes):
            if _take(blocks, size):
                continue
            region = align_up(size + _REGION_OVERHEAD, PAGE_SIZE)
            needs.append(Need(f"{MEASURED_FILE}{number or ''}", region, _LOADER_CODE, self.limit, HEAP_MINIMUM_ADDRESS))
        return needs

    def read_file(self, size: int) -> EfiStatus:
        """Read a file of ``size`` bytes; where a verifier of 2.06 wants it, into one block of the heap.

        Returns:
            EFI_OUT_OF_RESOURCES: The heap has no such block ("out of memory"). A GRUB that was taught to accept takes
                another region for it first, from the map.
        """
        if self._verifies_in_growing_heap:
            return SUCCESS  # it was read when it was opened
        self._files.append(size)
        self._cached = min(self._cached + size, _CACHE_LINES * _CACHE_BYTES)
        if (
            not self._build.quarter_heap
            or not self.verifies
            or self.heap is None
            or self.heap_in_use <= self.heap[1] - self.heap[0]
        ):
            return SUCCESS
        self._files.pop()
        self._flow.on_demand.mattered = True
        if self._flow.on_demand.teaches_loaders and not self._take_heap(size + _REGION_OVERHEAD, in_one_piece=True):
            return SUCCESS
        return EfiStatus.EFI_OUT_OF_RESOURCES

    def file_need(self, size: int) -> list[Need]:
        """What :meth:`read_file` may ask for beyond the heap that stands."""
        if not self.verifies or not self._build.quarter_heap:
            return []
        return [Need("heap", size + _REGION_OVERHEAD, _LOADER_CODE, self.limit, HEAP_MINIMUM_ADDRESS)]

    def growth_need(self, size: int) -> list[Need]:
        """What :meth:`hold_file` will ask for beyond the heap that stands."""
        if size <= max(self._blocks):
            return []
        region = align_up(size + _REGION_OVERHEAD, PAGE_SIZE)
        return [Need("heap", region, _LOADER_CODE, self.limit, HEAP_MINIMUM_ADDRESS)]

    def hold_file(self, size: int, what: str = "heap") -> EfiStatus:
        """A whole file goes into one block of the heap, which grows where it must (2.12); the disk cache takes as much.

        Returns:
            EFI_OUT_OF_RESOURCES: It cannot grow so far.
        """
        if _take(self._blocks, size):
            self._held += size
        elif not self._take_heap(align_up(size + _REGION_OVERHEAD, PAGE_SIZE), in_one_piece=True, what=what):
            self._blocks.append(0)
        elif self._held + size > HEAP_SIZE - _HEAP_BASE:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        else:  # it drops the disk cache then, and starts to read again
            self._held += size
            self._blocks = [HEAP_SIZE - _HEAP_BASE - self._held]
            self._cached = 0
        before = self._cached
        self._cached = min(self._cached + size, _CACHE_LINES * _CACHE_BYTES)
        _take_pieces(self._blocks, (self._cached - before) // _CACHE_BYTES * _CACHE_LINE)
        return SUCCESS

    def release_file(self, size: int) -> None:
        """A block of :meth:`hold_file` is free again, between others that are not."""
        self._blocks.append(size)
        self._held = max(self._held - size, 0)

    @property
    def _verifies_in_growing_heap(self) -> bool:
        return self.verifies and not self._build.quarter_heap

    @property
    def heap_in_use(self) -> int:
        """Bytes at the heap's top that are in use, or out of reach, after the files that were read.

        A file that a verifier wants lies in one block, under it what the disk cache took while it was read. Small
        blocks in between keep these from being joined again when they are free. Inferred from where Debian's 2.06
        failed: an initrd of 64.4 MiB goes into a heap of 115.2 MiB after a kernel of 11.6 MiB, but not into one of
        83.2 MiB after a kernel of 7.8 MiB.
        """
        if not self.verifies or not self._build.quarter_heap:
            return 0 if self.heap is None else self.heap[1] - self.heap[0]
        lines = min(-(-sum(self._files[:-1]) // _CACHE_BYTES), _CACHE_LINES)
        return _HEAP_BASE + sum(self._files) + lines * _CACHE_LINE

    def grow(self) -> None:
        """Take more heap where the disk cache has outgrown it, a MiB at a time; harmless where there is none left.

        The cache holds 1,021 entries of 32 KiB at most, so 32 MiB of heap grow by 4 MiB in the end (recorded: Debian's
        2.12, with initrds of 38 and of 137 MB; none with 14 MB).
        """
        lines = -(-self._cached // _CACHE_BYTES)
        wanted = _HEAP_BASE + self._held + lines * _CACHE_LINE - HEAP_SIZE
        while not self._build.quarter_heap and self._grown < wanted:
            if self._take_heap(HEAP_GROWTH):
                break
            self._grown += HEAP_GROWTH

    def _start_heap(self) -> EfiStatus:
        """grub_efi_mm_init."""
        build = self._build
        left = self._take_heap(None if build.quarter_heap else HEAP_SIZE)
        if left:
            status = EfiStatus.EFI_OUT_OF_RESOURCES
            why = f"GRUB cannot have its heap: {shortage(self._services, left, self.limit)}"
            return self._flow.fail(service_names.ALLOCATE_PAGES, status, left, why, self.limit)
        return SUCCESS

    def _take_heap(self, size: int | None, in_one_piece: bool = False, what: str = "heap") -> int:
        """Read the map and take heap by address, from the top of the largest pieces; the bytes that are missing then.

        Args:
            size: Bytes; None for a quarter of what is usable.
            in_one_piece: Take nothing where no piece is that large: it is for one block.
            what: The placement's name.
        """
        status, buffers = self.allocate_pages(_MAX, _LOADER_DATA, _MAP_BUFFERS_SIZE, self.limit)
        if status.is_error:
            return size or HEAP_LEAST
        pieces = self.usable_pieces(self._services.get_memory_map(_MAP_BUFFERS_SIZE // 2))
        if size is None:
            quarter = align_down(sum(end - start for start, end in pieces) // 4, PAGE_SIZE)
            size = min(max(quarter, HEAP_LEAST), HEAP_MOST)
        if in_one_piece:
            pieces = [(start, end) for start, end in pieces if end - start >= size]
        for start, end in sorted(pieces, key=lambda piece: piece[0] - piece[1]):
            piece_size = min(size, end - start)
            if piece_size == 0:
                break
            status, at = self.allocate_pages(
                EfiAllocateType.AllocateAddress, _LOADER_CODE, piece_size, end - piece_size
            )
            if status is SUCCESS:
                self._flow.place(what, at, piece_size, _LOADER_CODE)
                self.heap = self.heap or (at, at + piece_size)
                size -= piece_size
        self.free_pages(buffers, _MAP_BUFFERS_SIZE)
        return size

    def usable_pieces(self, memory_map: MemoryMapResult) -> list[tuple[int, int]]:
        """``(start, end)`` of what GRUB takes for free: Conventional, above 1 MiB, below its limit."""
        return [
            (max(entry.physical_start, HEAP_MINIMUM_ADDRESS), min(entry.physical_end, self.limit + 1))
            for entry in memory_map.descriptors
            if entry.memory_type == EfiMemoryType.EfiConventionalMemory
            and entry.physical_end > HEAP_MINIMUM_ADDRESS
            and entry.physical_start <= self.limit
        ]


def _take(blocks: list[int], size: int) -> bool:
    """Take ``size`` bytes out of the first free block that has them; whether one has."""
    for number, block in enumerate(blocks):
        if block >= size:
            blocks[number] -= size
            return True
    return False


def _take_pieces(blocks: list[int], size: int) -> None:
    """Take up to ``size`` bytes in small pieces, from the first blocks that are free."""
    for number, block in enumerate(blocks):
        piece = min(block, size)
        blocks[number] -= piece
        size -= piece
