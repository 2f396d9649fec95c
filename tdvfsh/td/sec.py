"""What TDVF's SEC phase accepts at boot, alone or with all vCPUs.

Source: edk2 OvmfPkg/IntelTdx/TdxHelperLib/SecTdxHelper.c (AcceptMemoryForAPsStack, AcceptMemory,
MpAcceptMemoryResourceRange), commit c5aa7e7d; what older releases do otherwise stands at :class:`SecRules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple
from tdvfsh.td.accept import (
    NOTHING,
    AcceptCall,
    AcceptOutcome,
    accept_pages_untimed,
    accept_range_untimed,
    split_for_accept,
)
from tdvfsh.td.cost import NO_TIME, Modelled
from tdvfsh.td.hob import TdHobEntry
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.tdx import SeptLevel, TdcallStatus
from tdvfsh.units import GIB, KIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE, align_down, align_up

if TYPE_CHECKING:
    from tdvfsh.td.trust_domain import TrustDomain

ACCEPT_CHUNK_SIZE: Final = 32 * MIB
AP_STACK_SIZE: Final = 16 * KIB
_SMALL_PAGES: Final = LARGE_PAGE_SIZE // PAGE_SIZE
_MISMATCH: Final = TdcallStatus.PAGE_SIZE_MISMATCH | SeptLevel.LEVEL_2M
EVERYTHING: Final = 1 << 64
"""An end address that no entry reaches."""


@dataclass(frozen=True, slots=True)
class SecRules:
    """What differs between releases in how SEC accepts.

    Attributes:
        large_pages: Accepts in 2 MiB pages where it can; edk2-staging of 2021 had 4 KiB pages only.
        boot_processor_alone: The other vCPUs take no part: until edk2 2022.12, held by recordings of 2022.11.
        loses_ragged_end: With several vCPUs, what follows the last whole 2 MiB page of a range that they share is not
            accepted at all: edk2 451521ccbc (December 2022) until b15f98e68f (September 2025), held by recordings
            of 2025.02.
        counts_added: A partial accept counts the pages that the VMM added, too.
        capped: A partial accept ends at 4 GiB.
    """

    large_pages: bool = True
    boot_processor_alone: bool = False
    loses_ragged_end: bool = False
    counts_added: bool = True
    capped: bool = False


SEC_RULES: Final = SecRules()
"""edk2's head."""


class SecStep(NamedTuple):
    """Bytes ``[start, end)`` accepted in pages of ``page_size`` bytes; by the boot processor, or ``vcpus`` in turn."""

    start: int
    end: int
    page_size: int
    vcpus: int = 1


@dataclass(frozen=True, slots=True)
class SecAccept:
    """What SEC accepted.

    Args:
        outcome: Everything in sum.
        accepted_bytes_per_vcpu: Bytes that each vCPU accepted, the boot processor first.
        serial: Modelled time in which the boot processor worked alone.
        parallel: Modelled time in which all vCPUs worked together.
        accepted: ``(start, end)`` of the ranges it worked on, in that order.
        steps: The same ranges by page size, and whether all vCPUs shared in them.
        lost: ``(start, end)`` of what firmware takes for accepted and is not.
        work: What was done alone and together: its counts, the vCPUs that shared in it and the busiest one's share.
        small_pages: The host maps 4 KiB pages only.
    """

    outcome: AcceptOutcome
    accepted_bytes_per_vcpu: tuple[int, ...]
    serial: Modelled
    parallel: Modelled
    accepted: tuple[tuple[int, int], ...]
    steps: tuple[SecStep, ...] = ()
    lost: tuple[tuple[int, int], ...] = ()
    work: tuple[tuple[AcceptOutcome, int, float], ...] = ()
    small_pages: bool = False

    @property
    def seconds(self) -> float:
        """Likely seconds from the first to the last accept."""
        return self.time.seconds

    @property
    def time(self) -> Modelled:
        """Modelled time from the first to the last accept."""
        return self.serial + self.parallel

    def accept_calls(self) -> Iterator[AcceptCall]:
        """Each TDCALL; what vCPUs accept at the same time in the order of its addresses."""
        for first, count in self.accept_runs():
            for number in range(count):
                yield first._replace(address=first.address + number * SeptLevel(first.level).page_size)

    def accept_runs(self) -> Iterator[tuple[AcceptCall, int]]:
        """The same in few: the first of like calls of pages that follow each other, and how many they are.

        A host of small pages answers each 2 MiB with PAGE_SIZE_MISMATCH, and 512 calls of 4 KiB follow.
        """
        for step in self.steps:
            large = step.page_size == LARGE_PAGE_SIZE
            if step.vcpus == 1 and not (large and self.small_pages):
                level = SeptLevel.LEVEL_2M if large else SeptLevel.LEVEL_4K
                count = (step.end - step.start) // step.page_size
                yield AcceptCall(0, step.start, level, TdcallStatus.SUCCESS), count
                continue
            for at in range(step.start, step.end, step.page_size):
                vcpu = (at - step.start) // ACCEPT_CHUNK_SIZE % step.vcpus
                if large and self.small_pages:
                    yield AcceptCall(vcpu, at, SeptLevel.LEVEL_2M, _MISMATCH), 1
                    yield AcceptCall(vcpu, at, SeptLevel.LEVEL_4K, TdcallStatus.SUCCESS), _SMALL_PAGES
                else:
                    level = SeptLevel.LEVEL_2M if large else SeptLevel.LEVEL_4K
                    yield AcceptCall(vcpu, at, level, TdcallStatus.SUCCESS), 1


def aps_stack_size(vcpus: int) -> int:
    """Bytes of stack that SEC takes for the application processors (APS_STACK_SIZE)."""
    return align_up(vcpus * AP_STACK_SIZE, LARGE_PAGE_SIZE)


def sec_accept(
    td: TrustDomain,
    hob_entries: Sequence[TdHobEntry],
    end_address: int = 4 * GIB,
    vcpus: int | None = None,
    rules: SecRules = SEC_RULES,
) -> SecAccept:
    """Accept the unaccepted entries below ``end_address`` as SEC does; the TD's clock advances by the modelled time.

    With several vCPUs the boot processor first accepts entries until one holds the other processors' stacks (of an
    entry larger than 32 MiB only the stacks' part). Then, entry by entry, a range of more than 32 MiB is dealt out in
    chunks of 32 MiB, chunk ``i`` to vCPU ``i`` modulo their number; the boot processor takes its ragged ends in 4 KiB
    pages, and smaller ranges as a whole.

    Args:
        td: The trust domain.
        hob_entries: The TD HOB list's entries, ascending; the first that starts at or above ``end_address`` ends it.
        end_address: Byte address; 4 GiB in edk2, :data:`EVERYTHING` accepts all.
        vcpus: vCPUs that take part; None for the TD's own number.
        rules: What the release does otherwise than edk2's head.

    Returns:
        The outcome; its status is EFI_INVALID_PARAMETER where a page failed or no entry is large enough for the stacks.
        SEC asserts then, and the model goes no further.
    """
    sec = _Sec(td, td.vcpus if vcpus is None else vcpus, rules)
    unaccepted = [entry for entry in hob_entries if entry.is_unaccepted]
    accepted_end = sec.accept_stacks(unaccepted) if sec.vcpus > 1 else 0
    for entry in unaccepted:
        if sec.outcome.status.is_error or entry.start >= end_address:
            break
        start, end = max(entry.start, accepted_end), min(entry.end, end_address)
        if start < end:
            sec.accept(start, end)
    td.spend(sec.serial + sec.parallel)
    return SecAccept(
        outcome=sec.outcome,
        accepted_bytes_per_vcpu=tuple(sec.per_vcpu),
        serial=sec.serial,
        parallel=sec.parallel,
        accepted=tuple(sec.accepted),
        steps=tuple(sec.steps),
        lost=tuple(sec.lost),
        work=tuple(sec.work),
        small_pages=td.sept.host_page_size == PAGE_SIZE,
    )


class _Sec:
    """Running sums of one pass through the list."""

    def __init__(self, td: TrustDomain, vcpus: int, rules: SecRules) -> None:
        self.td = td
        self.vcpus = 1 if rules.boot_processor_alone else vcpus
        self.rules = rules
        self.outcome = NOTHING
        self.per_vcpu = [0] * vcpus
        self.serial = NO_TIME
        self.parallel = NO_TIME
        self.accepted: list[tuple[int, int]] = []
        self.steps: list[SecStep] = []
        self.lost: list[tuple[int, int]] = []
        self.work: list[tuple[AcceptOutcome, int, float]] = []

    def accept_stacks(self, unaccepted: Sequence[TdHobEntry]) -> int:
        """Accept entries up to the one with room for the stacks; the address where that ended."""
        stacks = aps_stack_size(self.vcpus)
        for entry in unaccepted:
            found = entry.length >= stacks
            end = entry.start + stacks if found and entry.length > ACCEPT_CHUNK_SIZE else entry.end
            self._accept_alone(entry.start, end)
            if found or self.outcome.status.is_error:
                return end
        self.outcome += AcceptOutcome(EfiStatus.EFI_INVALID_PARAMETER)
        return EVERYTHING

    def accept(self, start: int, end: int) -> None:
        """Accept ``[start, end)``, with all vCPUs where it is large enough."""
        aligned = min(end, align_up(start, LARGE_PAGE_SIZE))
        if self.vcpus == 1 or end - aligned <= ACCEPT_CHUNK_SIZE:
            self._accept_alone(start, end)
            return
        self._accept_alone(start, aligned)
        if not self.outcome.status.is_error:
            self._accept_together(aligned, end)

    def _accept_alone(self, start: int, end: int) -> None:
        if start == end:
            return
        large_pages = self.rules.large_pages
        outcome = accept_range_untimed(self.td, start, end - start, large_pages)
        self.serial += self.td.cost.time(outcome)
        self.work.append((outcome, 1, 1.0))
        self._add(outcome, start, end)
        parts = split_for_accept(start, end - start, large_pages)
        self.steps += (SecStep(at, at + part, page_size) for at, part, page_size in parts)
        self.per_vcpu[0] += outcome.accepted_bytes

    def _accept_together(self, start: int, end: int) -> None:
        middle = align_down(end, LARGE_PAGE_SIZE)
        page_size = LARGE_PAGE_SIZE if self.rules.large_pages else PAGE_SIZE
        outcome = accept_pages_untimed(self.td, start, (middle - start) // page_size, page_size)
        shares = chunk_shares(middle - start, self.vcpus)
        self.parallel += self.td.cost.time(outcome, self.vcpus, shares[0] / (middle - start))
        self.work.append((outcome, self.vcpus, shares[0] / (middle - start)))
        self._add(outcome, start, middle)
        self.steps.append(SecStep(start, middle, page_size, self.vcpus))
        given = [outcome.accepted_bytes * share // (middle - start) // PAGE_SIZE * PAGE_SIZE for share in shares]
        given[0] += outcome.accepted_bytes - sum(given)
        self.per_vcpu = [before + more for before, more in zip(self.per_vcpu, given, strict=True)]
        if middle < end and self.rules.loses_ragged_end:
            self.lost.append((middle, end))
        elif middle < end and not outcome.status.is_error:
            rest = accept_pages_untimed(self.td, middle, (end - middle) // PAGE_SIZE, PAGE_SIZE)
            self.serial += self.td.cost.time(rest)
            self.work.append((rest, 1, 1.0))
            self._add(rest, middle, end)
            self.steps.append(SecStep(middle, end, PAGE_SIZE))
            self.per_vcpu[0] += rest.accepted_bytes

    def _add(self, outcome: AcceptOutcome, start: int, end: int) -> None:
        self.outcome += outcome
        self.accepted.append((start, end))


def chunk_shares(size: int, vcpus: int) -> list[int]:
    """Bytes of a range of ``size`` bytes that each vCPU gets when chunks of 32 MiB are dealt out in turn."""
    whole, rest = divmod(size, ACCEPT_CHUNK_SIZE)
    rounds, more = divmod(whole, vcpus)
    shares = [(rounds + (index < more)) * ACCEPT_CHUNK_SIZE for index in range(vcpus)]
    shares[more] += rest
    return shares
