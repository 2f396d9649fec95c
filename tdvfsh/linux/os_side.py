"""What Linux accepts after ExitBootServices: how much, when, by which part, at what modelled cost. A model, not a run.

The stub, the decompressor, memblock and the page allocator each accept what they use; the rest stays unaccepted. Where
memory goes follows the kernel's rules; how often early boot asks for pages was counted on real kernels. Left out: what
the kernel uses of memory that is accepted anyway, pages on per-CPU lists, more than one node, and crashkernel=, cma=
and swiotlb= on the command line.

Source: Linux 6.12 drivers/firmware/efi/unaccepted_memory.c, drivers/firmware/efi/libstub/unaccepted_memory.c,
arch/x86/boot/compressed/mem.c, mm/memblock.c (memblock_alloc_range_nid), mm/mm_init.c (defer_init,
deferred_free_pages), mm/page_alloc.c (__free_pages_core, cond_accept_memory), kernel/dma/pool.c
(dma_atomic_pool_init), arch/x86/mm/init_64.c (preallocate_vmalloc_pages); arch/x86/coco/tdx/tdx-shared.c.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, Protocol
from tdvfsh.linux.os_counts import early_count, is_cloud, memory_devices
from tdvfsh.linux.os_memblock import SECTION, EarlyMemory, Memblock, early_allocations, section_roots_size
from tdvfsh.linux.os_memory import (
    FREE_AT_ONCE,
    FREE_LATER,
    MAX_ORDER_BLOCK,
    UNIT,
    UnacceptedMemory,
    Zone,
    pieces_below_a_block,
    ranges_of,
    size_of,
    without,
    zones_of,
)
from tdvfsh.loaders.unaccepted import unaccepted_table
from tdvfsh.td.accept import NOTHING, AcceptOutcome, accept_pages_untimed
from tdvfsh.td.cost import NO_TIME, Modelled
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE, align_up, human_size

if TYPE_CHECKING:
    from tdvfsh.loaders.files import BootFiles
    from tdvfsh.loaders.flow import Placement
    from tdvfsh.machine.machine import Machine
    from tdvfsh.td.trust_domain import TrustDomain
    from tdvfsh.uefi.memory import MemoryDescriptor

LAZY: Final = "lazy"
EAGER: Final = "eager"
UNSUPPORTED: Final = "unsupported"
_POLICY: Final = pattern(r"(?:^|\s)accept_memory=(\S+)")
_HELD: Final = frozenset({"kernel", "initrd"})


@dataclass(frozen=True, slots=True)
class OsAccept:
    """One step: who accepts, how many bytes, with what TDCALLs, in what modelled time, and why."""

    who: str
    accepted_bytes: int
    pages_4k: int
    pages_2m: int
    calls: int
    time: Modelled
    why: str

    @property
    def seconds(self) -> float:
        """The likely time in seconds."""
        return self.time.seconds


@dataclass(frozen=True, slots=True)
class OsSide:
    """The operating system's side of a boot, modelled.

    Attributes:
        policy: ``lazy`` or ``eager``, as ``accept_memory=`` on the command line says; ``unsupported`` where the kernel
            was not informed of unaccepted memory.
        steps: In the order in which they happen; those that accept nothing are among them, with the reason.
        workload_bytes: What was asked of the page allocator after boot.
        unmet_bytes: The part of it that no memory was left for.
        left_bytes: What is still unaccepted in the end and the kernel can accept.
        lost_bytes: What the kernel will never use because it does not know that it is there.
        notes: What else decides, in sentences.
    """

    policy: str
    steps: tuple[OsAccept, ...]
    workload_bytes: int
    unmet_bytes: int
    left_bytes: int
    lost_bytes: int
    notes: tuple[str, ...]

    @property
    def accepted_bytes(self) -> int:
        """Bytes that the operating system has accepted in the end."""
        return sum(step.accepted_bytes for step in self.steps)

    @property
    def seconds(self) -> float:
        """Likely seconds of all that."""
        return self.time.seconds

    @property
    def time(self) -> Modelled:
        """Modelled time of all that."""
        return sum((step.time for step in self.steps), NO_TIME)


class HandedOver(Protocol):
    """A boot that has ended, perhaps with a kernel that takes over; :class:`tdvfsh.boots.modelled_boot.BootResult`."""

    @property
    def machine(self) -> Machine: ...
    @property
    def files(self) -> BootFiles: ...
    @property
    def placements(self) -> Sequence[Placement]: ...
    @property
    def memory_map(self) -> Sequence[MemoryDescriptor]: ...
    @property
    def booted(self) -> bool: ...
    @property
    def os_ran(self) -> bool: ...
    @property
    def left_to_os_bytes(self) -> int: ...
    @property
    def lost_bytes(self) -> int: ...


def os_side(result: HandedOver) -> OsSide | None:
    """Model what the kernel of ``result`` accepts, up to the workload that the options name.

    Args:
        result: A boot.

    Returns:
        None where the operating system was not reached, or has really run, or where nothing is ever unaccepted.
    """
    options = result.machine.options
    if not result.booted or not options.td or result.os_ran:
        return None
    told = any(placement.what == "unaccepted_table" for placement in result.placements)
    table = unaccepted_table(result.memory_map)
    notes = []
    if not options.sept_ve_disable:
        notes.append("Linux stops at once: it does not run in a TD without SEPT_VE_DISABLE, unless that is a debug TD")
    if table is None or not told:
        lost = result.left_to_os_bytes
        if lost and not result.lost_bytes:  # else the loader has said so
            notes.append(f"the kernel is not informed that type 15 is memory: it loses {human_size(lost)}")
        return OsSide(
            policy=UNSUPPORTED if lost else LAZY,
            steps=(),
            workload_bytes=options.os_workload,
            unmet_bytes=0,
            left_bytes=0,
            lost_bytes=lost,
            notes=tuple(notes),
        )
    runs = [(table.phys_base + first * UNIT, table.phys_base + end * UNIT) for first, end in table.runs]
    policy = EAGER if EAGER in _POLICY.findall(result.files.cmdline)[-1:] else LAZY
    linux = _Linux(result, runs)
    linux.stub(table.accepted_now)
    linux.decompressor(runs)
    linux.memblock()
    linux.first_free(policy)
    if policy == LAZY:
        linux.page_allocator()
    linux.unpack(result.files.unpacked_size)
    unmet = linux.workload(options.os_workload)
    return OsSide(
        policy=policy,
        steps=tuple(linux.steps),
        workload_bytes=options.os_workload,
        unmet_bytes=unmet,
        left_bytes=linux.unaccepted.size,
        lost_bytes=0,
        notes=tuple(notes),
    )


class _Linux:
    """The kernel on a copy of the TD, step by step."""

    def __init__(self, result: HandedOver, runs: Sequence[tuple[int, int]]) -> None:
        self.steps: list[OsAccept] = []
        self.unaccepted = UnacceptedMemory(runs)
        self._result = result
        self._td = result.machine.td.copy()
        self._td.faults = None
        self._spans = [(span.start, span.end) for span in self._td.ram.spans]
        held = [(item.start, item.end) for item in result.placements if item.what in _HELD and not item.freed]
        self._memblock = Memblock(without(ranges_of(result.memory_map, FREE_AT_ONCE), held))
        self._zones: list[Zone] = []
        linux = (result.files.kernel.inner or result.files.kernel).linux
        self._release = linux.kernel_version if linux is not None else ""

    def stub(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Accept pieces that are not whole units: the bitmap cannot hold them."""
        why = "short ranges and ends that are not a whole 2 MiB unit"
        self._step("EFI stub", pieces, why if pieces else "all ranges are made of whole 2 MiB units")

    def decompressor(self, runs: Sequence[tuple[int, int]]) -> None:
        """Accept the kernel's buffer, which firmware allocated and therefore had accepted already."""
        kernel = next((entry for entry in self._result.placements if entry.what == "kernel" and not entry.freed), None)
        pieces = [] if kernel is None else [
            (max(start, kernel.start), min(end, kernel.end))
            for start, end in runs
            if start < kernel.end and kernel.start < end
        ]  # fmt: skip
        self._step("decompressor", pieces, "firmware had accepted the kernel's buffer")

    def memblock(self) -> None:
        """Accept what memblock allocates: the highest memory first."""
        five_levels = "no5lvl" not in self._result.files.cmdline.split()
        roots = section_roots_size(not is_cloud(self._release), five_levels)
        early = early_allocations(self._memblock, self._spans, self._td.vcpus, roots)
        pieces = [piece for start, end in early.taken for piece in self.unaccepted.accept(start, end)]
        self._step("memblock", pieces, _memblock_sentence(early))

    def first_free(self, policy: str) -> None:
        """All free memory goes to the page allocator, which has a list for unaccepted blocks of 4 MiB only."""
        free = self._memblock.free
        if policy == EAGER:
            pieces, why = self.unaccepted.accept_all(), "all the rest, by one CPU, before init"
        else:
            ends = pieces_below_a_block(free)
            pieces = [piece for start, end in ends for piece in self.unaccepted.accept(start, end)]
            why = "ends of free memory that are not a whole 4 MiB block"
        self._step("eager", pieces, why)
        usable = sorted([*free, *ranges_of(self._result.memory_map, FREE_LATER)])
        self._zones = zones_of(usable, self.unaccepted.blocks(free))

    def page_allocator(self) -> None:
        """Until watermarks are set every request for pages accepts a block, even where accepted memory is free.

        The first section of the highest zone is there from the start, and the page tables for vmalloc() alone, 64
        pages, are more requests than it has blocks. The rest is there when the CPUs are up.
        """
        if not self._zones:  # memblock has given everything out
            return
        zone = self._zones[0]
        count = early_count(self._release)
        requests = count.blocks(memory_devices(self._spans))
        low = next((each for each in self._zones[1:] if each.name == "DMA32"), None)
        first = sum(max(0, min(end, self._deferred(zone)) - start) for start, end in zone.blocks) // MAX_ORDER_BLOCK
        taken = zone.take_blocks(first + requests - (low is not None))
        if low is not None:
            taken += low.take_blocks(1)  # dma_atomic_pool_init(), with GFP_DMA32
        brought_up, time = self._bring_up(zone)
        why = f"{size_of(taken) // MAX_ORDER_BLOCK} blocks in early boot, as counted on {count.seen_with}"
        more = zone.take_blocks(-((zone.free - zone.promo) // MAX_ORDER_BLOCK))
        if more:
            why += f", and {size_of(more) // MAX_ORDER_BLOCK} up to the watermark"
        pieces = [piece for start, end in taken + more for piece in self.unaccepted.accept(start, end)]
        self._step("page allocator", pieces, why)
        if self._td.vcpus > 1:
            pieces = [piece for start, end in brought_up for piece in self.unaccepted.accept(start, end)]
            others = self._td.vcpus - 1
            why = f"{size_of(brought_up) // MAX_ORDER_BLOCK} blocks for the {others} vCPUs that come online"
            if time.high:
                why += ", each exit the longer the more there are; kernels differ in it most"
            self._step("SMP bring-up", pieces, why, time=time)

    def _bring_up(self, zone: Zone) -> tuple[list[tuple[int, int]], Modelled]:
        """Blocks for each further vCPU, taken by the boot processor, and their modelled time.

        Kernels that initialise struct pages late have only the first section to take from until all vCPUs are online;
        others take a block for each page that is asked for.
        """
        small = self._td.sept.host_page_size == PAGE_SIZE
        pages, larges = (MAX_ORDER_BLOCK // PAGE_SIZE, 0) if small else (0, MAX_ORDER_BLOCK // LARGE_PAGE_SIZE)
        refused = MAX_ORDER_BLOCK // LARGE_PAGE_SIZE if small else 0
        block = AcceptOutcome(
            pages_4k=pages, pages_2m=larges, calls=pages + larges + refused, td_exits=pages + larges
        )  # fmt: skip
        count, time = self._td.cost.bring_up(block, self._td.vcpus, zone.block_bytes // MAX_ORDER_BLOCK)
        return zone.take_blocks(count), time

    def _deferred(self, zone: Zone) -> int:
        """Where the part of a zone begins whose struct pages are initialised late: defer_init()."""
        seen = 0
        for start, end in self._spans:
            low = max(start, zone.start)
            at = align_up(low + max(0, SECTION - seen), SECTION)
            if low < end and at < end:
                return at
            seen += max(0, end - low)
        return zone.end

    def unpack(self, size: int) -> None:
        """The initramfs is unpacked while the initrd is still held, which is freed then."""
        self._allocate("initramfs", size, f"{human_size(size)} unpacked, above the watermarks", 1)
        initrd = next((entry for entry in self._result.placements if entry.what == "initrd" and not entry.freed), None)
        if initrd is not None and self._zones:
            zone = next((zone for zone in self._zones if zone.start <= initrd.start < zone.end), self._zones[-1])
            zone.free += align_up(initrd.size, PAGE_SIZE)

    def workload(self, size: int) -> int:
        """What runs later; the bytes of it that found no memory."""
        if not size:
            return 0
        vcpus = self._td.vcpus
        who = "1 vCPU" if vcpus == 1 else f"{vcpus} vCPUs"
        return self._allocate("workload", size, f"{human_size(size)} used by {who}", vcpus)

    def _allocate(self, who: str, size: int, why: str, vcpus: int) -> int:
        """Zone by zone: what is used comes from free pages, and those are kept above the watermark."""
        pieces: list[tuple[int, int]] = []
        for zone in self._zones:
            used = min(size, max(0, zone.free + zone.block_bytes - zone.low))
            lacking = used + zone.promo - zone.free if used else 0
            for start, end in zone.take_blocks(-(-lacking // MAX_ORDER_BLOCK)):
                pieces += self.unaccepted.accept(start, end)
            zone.free -= used
            size -= used
            if size <= 0:
                break
        self._step(who, pieces, why, vcpus)
        return size

    def _step(
        self, who: str, pieces: Sequence[tuple[int, int]], why: str, vcpus: int = 1, time: Modelled | None = None
    ) -> None:
        outcome = NOTHING
        for start, end in pieces:
            outcome += _accept(self._td, start, end)
        time = self._td.cost.time(outcome, vcpus) if time is None else time
        self.steps.append(
            OsAccept(
                who=who,
                accepted_bytes=outcome.accepted_bytes,
                pages_4k=outcome.pages_4k,
                pages_2m=outcome.pages_2m,
                calls=outcome.calls,
                time=time,
                why=why,
            )
        )


def _memblock_sentence(early: EarlyMemory) -> str:
    sizes = (
        (early.struct_pages, "of struct pages"),
        (early.bounce_buffers, "of bounce buffers"),
        (early.hash_tables, "of hash tables"),
    )
    return ", ".join(f"{human_size(size)} {what}" for size, what in sizes) + " and more, from the top downwards"


def _accept(td: TrustDomain, start: int, end: int) -> AcceptOutcome:
    """tdx_accept_memory: 2 MiB where that is aligned and fits, else 4 KiB; no range of the steps above takes 1 GiB."""
    head = min(end, align_up(start, LARGE_PAGE_SIZE))
    body_end = max(head, end // LARGE_PAGE_SIZE * LARGE_PAGE_SIZE)
    outcome = NOTHING
    for low, high, size in ((start, head, PAGE_SIZE), (head, body_end, LARGE_PAGE_SIZE), (body_end, end, PAGE_SIZE)):
        if low < high:
            outcome += accept_pages_untimed(td, low, (high - low) // size, size)
    return outcome
