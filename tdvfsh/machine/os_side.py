"""What Linux accepts after ExitBootServices: how much, when, by whom, at what modelled cost. A model, not a run.

The stub, the decompressor, memblock and the page allocator each accept what they use; nobody accepts the rest. Left
out: hash tables, per-CPU areas and slabs of early boot (some MiB), pages on per-CPU lists, and more than one node.

Source: Linux 6.12 drivers/firmware/efi/unaccepted_memory.c, drivers/firmware/efi/libstub/unaccepted_memory.c,
arch/x86/boot/compressed/mem.c, mm/memblock.c (memblock_alloc_range_nid), mm/sparse-vmemmap.c, mm/page_alloc.c
(cond_accept_memory); arch/x86/coco/tdx/tdx-shared.c.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tdvfsh.loaders.unaccepted import unaccepted_table
from tdvfsh.machine.os_memory import MAX_ORDER_BLOCK, UNIT, Zone, zones_of
from tdvfsh.td.accept import NOTHING, AcceptOutcome, accept_pages_untimed
from tdvfsh.units import LARGE_PAGE_SIZE, MIB, PAGE_SIZE, align_up, human_size

if TYPE_CHECKING:
    from tdvfsh.machine.boot import BootResult
    from tdvfsh.td.trust_domain import TrustDomain

LAZY: Final = "lazy"
EAGER: Final = "eager"
UNSUPPORTED: Final = "unsupported"
_POLICY: Final = re.compile(r"(?:^|\s)accept_memory=(\S+)")
_SECTION: Final = 128 * MIB  # of sparse memory; its struct pages take 2 MiB
_STRUCT_PAGES: Final = 2 * MIB


@dataclass(frozen=True, slots=True)
class OsAccept:
    """One step: who accepts, how many bytes, with what TDCALLs, in how many modelled seconds, and why."""

    who: str
    accepted_bytes: int
    pages_4k: int
    pages_2m: int
    calls: int
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class OsSide:
    """The operating system's side of a boot, modelled.

    Attributes:
        policy: ``lazy`` or ``eager``, as ``accept_memory=`` on the command line says; ``unsupported`` where the kernel
            was told nothing of unaccepted memory.
        steps: In the order in which they happen; those that accept nothing are among them, with the reason.
        workload_bytes: What was asked of the page allocator after boot.
        unmet_bytes: The part of it that no memory was left for.
        left_bytes: What nobody has accepted in the end and the kernel still can.
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
        """Modelled seconds of all that."""
        return sum(step.seconds for step in self.steps)


def os_side(result: BootResult, unpacked_bytes: int = 0) -> OsSide | None:
    """Model what the kernel of ``result`` accepts, up to the workload that the options name.

    Args:
        result: A boot.
        unpacked_bytes: What its initrds unpack to.

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
            notes.append(f"nobody tells the kernel that type 15 is memory: {human_size(lost)} are lost to it")
        return OsSide(UNSUPPORTED if lost else LAZY, (), options.os_workload, 0, 0, lost, tuple(notes))
    runs = [(table.phys_base + first * UNIT, table.phys_base + end * UNIT) for first, end in table.runs]
    policy = EAGER if EAGER in _POLICY.findall(result.files.cmdline)[-1:] else LAZY
    linux = _Linux(result, zones_of(result.memory_map, runs))
    linux.stub(table.accepted_now)
    linux.decompressor(runs)
    linux.struct_pages()
    if policy == EAGER:
        linux.everything()
    linux.unpack(unpacked_bytes)
    unmet = linux.workload(options.os_workload)
    left = sum(zone.unaccepted_bytes for zone in linux.zones)
    return OsSide(policy, tuple(linux.steps), options.os_workload, unmet, left, 0, tuple(notes))


class _Linux:
    """The kernel on a copy of the TD, step by step."""

    def __init__(self, result: BootResult, zones: list[Zone]) -> None:
        self.zones = zones
        self.steps: list[OsAccept] = []
        self._result = result
        self._td = result.machine.td.copy()
        self._td.faults = None
        for what in ("kernel", "unaccepted_table", "initrd"):
            self._occupy(what)

    def stub(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Pieces that are no whole units cannot stand in the bitmap."""
        why = "short ranges and ends that are no whole 2 MiB unit"
        self._step("EFI stub", pieces, why if pieces else "all ranges are made of whole 2 MiB units")

    def decompressor(self, runs: Sequence[tuple[int, int]]) -> None:
        """It accepts the kernel's buffer, which firmware gave out and therefore had accepted already."""
        kernel = next((entry for entry in self._result.placements if entry.what == "kernel" and not entry.freed), None)
        pieces = [] if kernel is None else [
            (max(start, kernel.start), min(end, kernel.end))
            for start, end in runs
            if start < kernel.end and kernel.start < end
        ]  # fmt: skip
        self._step("decompressor", pieces, "firmware had accepted the kernel's buffer")

    def struct_pages(self) -> None:
        """memblock gives out the highest memory first, and accepts what it gives out."""
        sections = sum(-(-span.end // _SECTION) - span.start // _SECTION for span in self._td.ram.spans)
        left, pieces = sections * _STRUCT_PAGES, []
        for zone in self.zones:
            taken = zone.take_from_top(left)
            pieces += taken
            got = sum(end - start for start, end in taken)
            left -= got
            used = min(left, zone.free) if not zone.unaccepted else 0
            zone.free -= used
            left -= used
            if left <= 0:
                break
        size = human_size(sections * _STRUCT_PAGES)
        self._step("memblock", pieces, f"{size} of struct pages, from the top downwards")

    def everything(self) -> None:
        """accept_memory=eager: the page allocator takes all in before it starts."""
        pieces = []
        for zone in self.zones:
            pieces += zone.unaccepted
            zone.free += zone.unaccepted_bytes
            zone.unaccepted = []
        self._step("page allocator", sorted(pieces), "all the rest, by one CPU, before init")

    def unpack(self, size: int) -> None:
        """The initramfs is unpacked while the initrd is still held, which is freed then."""
        self._allocate("initramfs", size, f"{human_size(size)} unpacked, above the watermarks", 1)
        initrd = next((entry for entry in self._result.placements if entry.what == "initrd" and not entry.freed), None)
        if initrd is not None:
            self._zone_at(initrd.start).free += align_up(initrd.size, PAGE_SIZE)

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
        for zone in self.zones:
            used = min(size, max(0, zone.free + zone.unaccepted_bytes - zone.low))
            lacking = used + zone.promo - zone.free if used else 0
            if lacking > 0 and zone.unaccepted:
                blocks = align_up(lacking, MAX_ORDER_BLOCK)
                guard = UNIT if blocks < zone.unaccepted_bytes else 0  # for load_unaligned_zeropad()
                taken = zone.take_from_bottom(blocks + guard)
                zone.free += sum(end - start for start, end in taken)
                pieces += taken
            zone.free -= used
            size -= used
            if size <= 0:
                break
        self._step(who, pieces, why, vcpus)
        return size

    def _step(self, who: str, pieces: Sequence[tuple[int, int]], why: str, vcpus: int = 1) -> None:
        outcome = NOTHING
        for start, end in pieces:
            outcome += _accept(self._td, start, end)
        seconds = self._td.cost.seconds(outcome, vcpus)
        self.steps.append(
            OsAccept(who, outcome.accepted_bytes, outcome.pages_4k, outcome.pages_2m, outcome.calls, seconds, why)
        )

    def _occupy(self, what: str) -> None:
        for placement in self._result.placements:
            if placement.what == what and not placement.freed:
                zone = self._zone_at(placement.start)
                zone.free = max(0, zone.free - align_up(placement.size, PAGE_SIZE))

    def _zone_at(self, address: int) -> Zone:
        return next((zone for zone in self.zones if zone.start <= address < zone.end), self.zones[-1])


def _accept(td: TrustDomain, start: int, end: int) -> AcceptOutcome:
    """tdx_accept_memory: 2 MiB where that is aligned and fits, else 4 KiB; no range of the steps above takes 1 GiB."""
    head = min(end, align_up(start, LARGE_PAGE_SIZE))
    body_end = max(head, end // LARGE_PAGE_SIZE * LARGE_PAGE_SIZE)
    outcome = NOTHING
    for low, high, size in ((start, head, PAGE_SIZE), (head, body_end, LARGE_PAGE_SIZE), (body_end, end, PAGE_SIZE)):
        if low < high:
            outcome += accept_pages_untimed(td, low, (high - low) // size, size)
    return outcome
