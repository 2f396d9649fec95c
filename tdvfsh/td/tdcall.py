"""TDCALL[TDG.MEM.PAGE.ACCEPT] and the VMM that answers its TD exits.

A run of calls is worked out range by range: pages that are alike answer alike, so a run costs the number of unlike
ranges it meets, not the number of pages.

The VMM behaves as KVM under QEMU does: on an accept of a FREE page it adds a page (TDH.MEM.PAGE.AUG) of the level asked
for where its own page size allows, else one page of 4 KiB; a larger PENDING leaf it demotes; a blocked leaf it
unblocks; then the TDCALL runs again. Such repeats are one TDCALL to the guest, with one TD exit each.

Source: Intel TDX module 1.5 tdg_mem_page_accept.c; Linux arch/x86/kvm/vmx/tdx.c.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.faults import TdFaults
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.ranges import RangeMap
from tdvfsh.td.sept import ONE_PENDING, SecureEpt, SeptEntry
from tdvfsh.uefi.tdx import ACCEPT_GPA_MASK, ACCEPT_LEVEL_MASK, OperandId, SeptLevel, SeptState, TdcallStatus
from tdvfsh.uefi.tdx import completion_name as _completion_name
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE, align_down

_PAGES: Final = LARGE_PAGE_SIZE // PAGE_SIZE
_LEVELS: Final = tuple(SeptLevel)
_OPERAND_INVALID: Final = TdcallStatus.OPERAND_INVALID | OperandId.RCX


class TdcallResult(NamedTuple):
    """One completed TDCALL: the 64-bit value in RAX and how many TD exits it took on the way."""

    status: int
    exits: int

    @property
    def name(self) -> str:
        """The completion code's name."""
        return _completion_name(self.status)


class Effect(Enum):
    """What a group of like calls does to the secure EPT."""

    NONE = auto()
    MAP = auto()
    UNBLOCK = auto()
    UNBLOCK_AND_MAP = auto()  # the whole 2 MiB leaf is unblocked before it is demoted
    FAULT_TABLES = auto()


class AcceptGroup(NamedTuple):
    """``calls`` consecutive TDCALLs that complete alike: their completion value, TD exits in sum, and effect."""

    calls: int
    status: int
    exits: int
    effect: Effect


class PageAccept:
    """The accept leaf of one TD, with its counters.

    ``calls`` counts completed TDCALLs, ``exits`` the TD exits they caused, ``groups`` the steps this model took
    for them: the measure of its own work.
    """

    __slots__ = ("calls", "exits", "faults", "gpaw", "groups", "ram", "sept", "shared")

    def __init__(self, sept: SecureEpt, ram: RamLayout, gpaw: int, shared: RangeMap[bool]) -> None:
        self.sept = sept
        self.ram = ram
        self.gpaw = gpaw
        self.shared = shared
        self.faults: TdFaults | None = None
        self.calls = 0
        self.exits = 0
        self.groups = 0

    def tdcall(self, rcx: int) -> TdcallResult:
        """One TDG.MEM.PAGE.ACCEPT with a raw RCX: level in bits 2:0, GPA in 51:12, all else must be 0."""
        level = rcx & ACCEPT_LEVEL_MASK
        if rcx & ~(ACCEPT_GPA_MASK | ACCEPT_LEVEL_MASK) or level > SeptLevel.LEVEL_2M:
            return self._refuse()
        return self.accept_page(rcx & ACCEPT_GPA_MASK, _LEVELS[level])

    def accept_page(self, gpa: int, level: SeptLevel) -> TdcallResult:
        """One TDG.MEM.PAGE.ACCEPT of the page of ``level`` at ``gpa``."""
        if level > SeptLevel.LEVEL_2M or gpa % level.page_size or not 0 <= gpa < self._limit:
            return self._refuse()
        group = self.peek(gpa, 1, level)
        self.perform(gpa, level, group)
        return TdcallResult(group.status, group.exits)

    def accept_run(
        self, start: int, count: int, level: SeptLevel, go_on: Callable[[int], bool] | None = None
    ) -> list[tuple[int, int]]:
        """``count`` calls in ascending order from ``start``: ``(completion value, calls)`` pairs, likes joined.

        Args:
            start: GPA of the first page.
            count: Pages of ``level`` to accept.
            level: LEVEL_4K or LEVEL_2M.
            go_on: Asked with each completion value; where it says no, the run ends after that one call. None: never.
        """
        results: list[tuple[int, int]] = []
        at, left = start, count
        while left:
            group = self.peek(at, left, level)
            ends = go_on is not None and not go_on(group.status)
            if ends and group.calls > 1:
                group = self.peek(at, 1, level)
            self.perform(at, level, group)
            if results and results[-1][0] == group.status:
                results[-1] = (group.status, results[-1][1] + group.calls)
            else:
                results.append((group.status, group.calls))
            if ends:
                break
            at += group.calls * level.page_size
            left -= group.calls
        return results

    def until_fault(self) -> int | None:
        """How many calls complete undisturbed before an injected fault; None when none is to come."""
        if self.faults is None:
            return None
        fault = self.faults.next_tdcall(self.calls + 1)
        return None if fault is None else fault[0] - self.calls - 1

    def peek(self, gpa: int, limit: int, level: SeptLevel) -> AcceptGroup:
        """The longest group of like calls from ``gpa`` on, ``limit`` at most; changes nothing."""
        if self.faults is not None:
            fault = self.faults.next_tdcall(self.calls + 1)
            if fault is not None:
                undisturbed = fault[0] - self.calls - 1
                if not undisturbed:
                    return AcceptGroup(1, fault[1], 0, Effect.NONE)
                limit = min(limit, undisturbed)
        if gpa % level.page_size or level > SeptLevel.LEVEL_2M or gpa < 0 or gpa >= self._limit:
            return AcceptGroup(limit, _OPERAND_INVALID, 0, Effect.NONE)
        limit = min(limit, (self._limit - gpa) // level.page_size)
        end, entry = self.sept.run_at(gpa)
        end = self._limit if end is None else end
        if level is SeptLevel.LEVEL_2M:
            return self._peek_large(gpa, limit, end, entry)
        return self._peek_small(gpa, limit, end, entry)

    def perform(self, gpa: int, level: SeptLevel, group: AcceptGroup) -> None:
        """Carry out what :meth:`peek` found."""
        end = gpa + group.calls * level.page_size
        self.calls += group.calls
        self.exits += group.exits
        self.groups += 1
        if group.effect is Effect.MAP:
            self.sept.put(gpa, end, SeptEntry(SeptState.MAPPED, level))
        elif group.effect is Effect.UNBLOCK_AND_MAP:
            self.sept.unblock(align_down(gpa, LARGE_PAGE_SIZE), -align_down(-end, LARGE_PAGE_SIZE))
            self.sept.put(gpa, end, SeptEntry(SeptState.MAPPED, level))
        elif group.effect is Effect.UNBLOCK:
            if self.sept.entry(gpa).level is SeptLevel.LEVEL_2M:
                gpa, end = align_down(gpa, LARGE_PAGE_SIZE), -align_down(-end, LARGE_PAGE_SIZE)
            self.sept.unblock(gpa, end)
        elif group.effect is Effect.FAULT_TABLES:
            if self.ram.contains(gpa, end):
                self.sept.fault_tables(gpa, end)
            else:
                self.sept.aug(gpa, gpa + PAGE_SIZE)
        if group.effect is not Effect.NONE and len(self.shared):
            self.shared.clear(gpa, end)

    @property
    def _limit(self) -> int:
        """First GPA with the shared bit set."""
        return 1 << (self.gpaw - 1)

    def _refuse(self) -> TdcallResult:
        self.calls += 1
        self.groups += 1
        return TdcallResult(_OPERAND_INVALID, 0)

    def _unbacked(self, gpa: int, limit: int, page_size: int) -> AcceptGroup:
        following = self.ram.next_span(gpa)
        count = limit if following is None else max(1, min(limit, -((gpa - following.start) // page_size)))
        return AcceptGroup(count, TdcallStatus.NOT_RETURNED, count, Effect.NONE)

    def _peek_large(self, gpa: int, limit: int, end: int, entry: SeptEntry) -> AcceptGroup:
        state, level = entry
        regions = max(1, min(limit, (end - gpa) // LARGE_PAGE_SIZE))
        if level is SeptLevel.LEVEL_4K or entry == ONE_PENDING:
            return AcceptGroup(regions, TdcallStatus.PAGE_SIZE_MISMATCH | SeptLevel.LEVEL_2M, 0, Effect.NONE)
        match state:
            case SeptState.PENDING:
                return AcceptGroup(regions, TdcallStatus.SUCCESS, 0, Effect.MAP)
            case SeptState.PENDING_BLOCKED:
                return AcceptGroup(regions, TdcallStatus.SUCCESS, regions, Effect.MAP)
            case SeptState.MAPPED:
                return AcceptGroup(regions, TdcallStatus.PAGE_ALREADY_ACCEPTED | level, 0, Effect.NONE)
            case SeptState.BLOCKED:
                return AcceptGroup(regions, TdcallStatus.PAGE_ALREADY_ACCEPTED | level, regions, Effect.UNBLOCK)
        span = self.ram.span_at(gpa)
        if span is None:
            return self._unbacked(gpa, regions, LARGE_PAGE_SIZE)
        backed = min(regions, (span.end - gpa) // LARGE_PAGE_SIZE)
        if backed and self.sept.host_page_size == LARGE_PAGE_SIZE:
            return AcceptGroup(backed, TdcallStatus.SUCCESS, backed, Effect.MAP)
        count = max(1, backed)
        return AcceptGroup(count, TdcallStatus.PAGE_SIZE_MISMATCH | SeptLevel.LEVEL_2M, count, Effect.FAULT_TABLES)

    def _peek_small(self, gpa: int, limit: int, end: int, entry: SeptEntry) -> AcceptGroup:
        state, level = entry
        if level is SeptLevel.LEVEL_2M and state is not SeptState.FREE:
            return self._peek_small_in_large(gpa, limit, end, entry)
        count = min(limit, (end - gpa) // PAGE_SIZE)
        match state:
            case SeptState.PENDING:
                return AcceptGroup(count, TdcallStatus.SUCCESS, 0, Effect.MAP)
            case SeptState.PENDING_BLOCKED:
                return AcceptGroup(count, TdcallStatus.SUCCESS, count, Effect.MAP)
            case SeptState.MAPPED:
                return AcceptGroup(count, TdcallStatus.PAGE_ALREADY_ACCEPTED, 0, Effect.NONE)
            case SeptState.BLOCKED:
                return AcceptGroup(count, TdcallStatus.PAGE_ALREADY_ACCEPTED, count, Effect.UNBLOCK)
        span = self.ram.span_at(gpa)
        if span is None:
            return self._unbacked(gpa, count, PAGE_SIZE)
        count = min(count, (span.end - gpa) // PAGE_SIZE)
        return AcceptGroup(count, TdcallStatus.SUCCESS, count, Effect.MAP)

    def _peek_small_in_large(self, gpa: int, limit: int, end: int, entry: SeptEntry) -> AcceptGroup:
        """4 KiB asked inside 2 MiB entries: whole regions where the run covers them, else up to the region's end."""
        state, level = entry
        if state is SeptState.MAPPED:
            count = min(limit, (end - gpa) // PAGE_SIZE)
            return AcceptGroup(count, TdcallStatus.PAGE_ALREADY_ACCEPTED | level, 0, Effect.NONE)
        region = align_down(gpa, LARGE_PAGE_SIZE)
        if gpa == region and limit >= _PAGES:
            regions = min(limit // _PAGES, (end - gpa) // LARGE_PAGE_SIZE)
            count = regions * _PAGES
        else:
            regions = 1
            count = min(limit, (region + LARGE_PAGE_SIZE - gpa) // PAGE_SIZE)
        if entry == ONE_PENDING:
            return self._peek_one_pending(gpa - region, regions, count)
        match state:
            case SeptState.PENDING:
                return AcceptGroup(count, TdcallStatus.SUCCESS, regions, Effect.MAP)
            case SeptState.PENDING_BLOCKED:
                return AcceptGroup(count, TdcallStatus.SUCCESS, 2 * regions, Effect.UNBLOCK_AND_MAP)
        return AcceptGroup(count, TdcallStatus.PAGE_ALREADY_ACCEPTED | level, regions, Effect.UNBLOCK)

    def _peek_one_pending(self, offset: int, regions: int, count: int) -> AcceptGroup:
        exits = count - regions if offset == 0 else count
        return AcceptGroup(count, TdcallStatus.SUCCESS, exits, Effect.MAP)
