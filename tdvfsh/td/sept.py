"""The secure EPT: the state of every private page, held as ranges.

A 2 MiB region is in one of three shapes: nothing there yet (no range), one 2 MiB leaf, or a table of 512 entries of
4 KiB. An entry of a table may itself be FREE. The shape decides how TDG.MEM.PAGE.ACCEPT answers.

Source: Intel TDX module 1.5, secure EPT chapter; TDH.MEM.PAGE.ADD, .AUG, .DEMOTE, .REMOVE, TDH.MEM.RANGE.BLOCK.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.ranges import RangeMap
from tdvfsh.uefi.tdx import SeptLevel, SeptState
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE, align_down, align_up


class SeptEntry(NamedTuple):
    """State of a page and the level of the entry that says so; FREE at 2M means that no table is there yet."""

    state: SeptState
    level: SeptLevel


NO_TABLE: Final = SeptEntry(SeptState.FREE, SeptLevel.LEVEL_2M)
FREE_4K: Final = SeptEntry(SeptState.FREE, SeptLevel.LEVEL_4K)
PENDING_4K: Final = SeptEntry(SeptState.PENDING, SeptLevel.LEVEL_4K)
ONE_PENDING: Final = SeptEntry(SeptState.NL_MAPPED, SeptLevel.LEVEL_2M)
"""A table of which only the first page is PENDING. Where a host maps 4 KiB only, each failed accept of 2 MiB leaves one
of these; as a value of its own any number of them is one range."""

_ADDED_OR_LEAF: Final = (SeptLevel.LEVEL_4K, SeptLevel.LEVEL_2M)


class _News:
    """What a reader of the secure EPT has not been told yet.

    Attributes:
        reader: Who asks.
        changes: How often the secure EPT had changed when ``mapped`` was all that the reader has to know.
        mapped: Ranges that have become MAPPED.
    """

    __slots__ = ("changes", "mapped", "reader")

    def __init__(self) -> None:
        self.reader: object = None
        self.changes = -1
        self.mapped: list[tuple[int, int]] = []


class SecureEpt:
    """Private memory of one TD.

    Args:
        host_page_size: Largest page that the host maps: 4096 or 2 MiB.

    Attributes:
        news: What :meth:`newly_mapped` will tell; no part of the state.

    Raises:
        UsageError: Another page size.
    """

    __slots__ = ("_entries", "host_page_size", "news")

    def __init__(self, host_page_size: int = LARGE_PAGE_SIZE) -> None:
        if host_page_size not in (PAGE_SIZE, LARGE_PAGE_SIZE):
            raise UsageError(f"host page size of {host_page_size} bytes: only 4K and 2M are valid")
        self.host_page_size = host_page_size
        self._entries: RangeMap[SeptEntry] = RangeMap()
        self.news = _News()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def changes(self) -> int:
        """How often it was changed; while that stays the same, so does the state of every page."""
        return self._entries.changes

    def newly_mapped(self, reader: object) -> list[tuple[int, int]] | None:
        """Ranges that have become MAPPED since ``reader`` asked last, while no page has left that state.

        None where that is not known: the first time, after another reader, or after changes of other kinds. Then all
        :meth:`spans` have to be looked at.
        """
        news, changes = self.news, self._entries.changes
        found = news.mapped if reader is news.reader and changes == news.changes else None
        news.reader, news.changes, news.mapped = reader, changes, []
        return found

    def entry(self, gpa: int) -> SeptEntry:
        """The entry that a walk to ``gpa`` ends at."""
        entry = self._entries.get(gpa)
        if entry is None:
            return NO_TABLE
        if entry == ONE_PENDING:
            return FREE_4K if gpa % LARGE_PAGE_SIZE >= PAGE_SIZE else PENDING_4K
        return entry

    def state(self, gpa: int) -> SeptState:
        """The state of the page that holds ``gpa``."""
        return self.entry(gpa).state

    def run_at(self, gpa: int) -> tuple[int | None, SeptEntry]:
        """End of the run of like entries that holds ``gpa`` (None: no end), and the entry; ONE_PENDING as such."""
        found = self._entries.find(gpa)
        if found is None:
            return self._entries.next_start(gpa), NO_TABLE
        return found[1], found[2]

    def spans(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, SeptEntry]]:
        """``(start, end, entry)`` in ascending order; with ``end`` they tile ``[start, end)``, FREE included.

        Without ``end`` they stop after the last entry that was ever made.
        """
        at = start
        for low, high, entry in self._entries.spans(start, end):
            if at < low:
                yield at, low, NO_TABLE
            if entry == ONE_PENDING:
                yield from _expand(low, high)
            else:
                yield low, high, entry
            at = high
        if end is not None and at < end:
            yield at, end, NO_TABLE

    def bytes_in(self, state: SeptState) -> int:
        """Bytes of pages in ``state``, from running counts; 0 for FREE and NL_MAPPED, which are not counted."""
        if state in (SeptState.FREE, SeptState.NL_MAPPED):
            return 0
        total = sum(self._entries.total(SeptEntry(state, level)) for level in _ADDED_OR_LEAF)
        if state is SeptState.PENDING:
            total += self._entries.total(ONE_PENDING) // LARGE_PAGE_SIZE * PAGE_SIZE
        return total

    def add(self, start: int, end: int) -> None:
        """TDH.MEM.PAGE.ADD while the TD is built: 4 KiB pages, accepted from the start."""
        self.put(start, end, SeptEntry(SeptState.MAPPED, SeptLevel.LEVEL_4K))

    def aug(self, start: int, end: int, level: SeptLevel = SeptLevel.LEVEL_4K) -> None:
        """TDH.MEM.PAGE.AUG of FREE pages: they are PENDING until the guest accepts them."""
        is_known = self.news.changes == self._entries.changes
        self.put(start, end, SeptEntry(SeptState.PENDING, level))
        if is_known:
            self.news.changes = self._entries.changes

    def put(self, start: int, end: int, entry: SeptEntry) -> None:
        """Make ``[start, end)`` leaves like ``entry``; what stays of a 2 MiB region around 4 KiB ones becomes a table.

        ``start`` and ``end`` are aligned to the entry's level.
        """
        is_known = self.news.changes == self._entries.changes
        if entry.level is SeptLevel.LEVEL_4K:
            self._open(align_down(start, LARGE_PAGE_SIZE), start)
            self._open(align_down(end, LARGE_PAGE_SIZE), end)
        self._entries.set(start, end, entry)
        if is_known and entry.state is SeptState.MAPPED:
            self.news.changes, mapped = self._entries.changes, self.news.mapped
            if mapped and mapped[-1][1] == start:
                start = mapped.pop()[0]
            mapped.append((start, end))

    def fault_tables(self, start: int, end: int) -> None:
        """The host maps only the first 4 KiB of each 2 MiB region in ``[start, end)``, its answer to a 2 MiB fault.

        All of it was FREE before.
        """
        is_known = self.news.changes == self._entries.changes
        self._entries.set(start, end, ONE_PENDING)
        if is_known:
            self.news.changes = self._entries.changes

    def remove(self, start: int, end: int) -> None:
        """TDH.MEM.PAGE.REMOVE: pages become FREE; 2 MiB leaves that are cut are demoted first, tables stay."""
        self._open(align_down(start, LARGE_PAGE_SIZE), start)
        self._open(align_down(end, LARGE_PAGE_SIZE), end)
        for low, high, entry in list(self._entries.spans(start, end)):
            if entry.level is SeptLevel.LEVEL_2M and entry != ONE_PENDING:
                self._entries.clear(low, high)
            else:
                self._entries.set(low, high, FREE_4K)

    def block(self, start: int, end: int) -> None:
        """TDH.MEM.RANGE.BLOCK: MAPPED becomes BLOCKED, PENDING becomes PENDING_BLOCKED."""
        self._restate(start, end, {SeptState.MAPPED: SeptState.BLOCKED, SeptState.PENDING: SeptState.PENDING_BLOCKED})

    def unblock(self, start: int, end: int) -> None:
        """TDH.MEM.RANGE.UNBLOCK: the reverse of :meth:`block`."""
        self._restate(start, end, {SeptState.BLOCKED: SeptState.MAPPED, SeptState.PENDING_BLOCKED: SeptState.PENDING})

    def copy(self) -> SecureEpt:
        """An independent copy."""
        twin = SecureEpt(self.host_page_size)
        twin._entries = self._entries.copy()
        return twin

    def _restate(self, start: int, end: int, change: dict[SeptState, SeptState]) -> None:
        self._open(align_down(start, LARGE_PAGE_SIZE), start)
        self._open(align_down(end, LARGE_PAGE_SIZE), end)
        for low, high, entry in list(self.spans(start, end)):
            state = change.get(entry.state)
            if state is not None:
                self._entries.set(low, high, SeptEntry(state, entry.level))

    def _open(self, region: int, at: int) -> None:
        """If ``at`` cuts the 2 MiB region, make the region a table whose pages stay in the state they are in."""
        if at == region:
            return
        end = region + LARGE_PAGE_SIZE
        entry = self._entries.get(region)
        if entry is None:
            self._entries.set(region, end, FREE_4K)
        elif entry == ONE_PENDING:
            self._entries.set(region, end, FREE_4K)
            self._entries.set(region, region + PAGE_SIZE, PENDING_4K)
        elif entry.level is SeptLevel.LEVEL_2M:
            self._entries.set(region, end, SeptEntry(entry.state, SeptLevel.LEVEL_4K))


def _expand(start: int, end: int) -> Iterator[tuple[int, int, SeptEntry]]:
    """The pages of a run of ONE_PENDING regions, clipped to ``[start, end)``."""
    at = start
    while at < end:
        region = align_down(at, LARGE_PAGE_SIZE)
        if at < region + PAGE_SIZE:
            stop = min(region + PAGE_SIZE, end)
            yield at, stop, PENDING_4K
        else:
            stop = min(align_up(at + 1, LARGE_PAGE_SIZE), end)
            yield at, stop, FREE_4K
        at = stop
