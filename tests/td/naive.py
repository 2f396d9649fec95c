"""The secure EPT and the accept TDCALL, one page at a time, written from the TDX module's rules: the oracle."""

from __future__ import annotations

from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.tdx import SeptState
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE

PAGES = LARGE_PAGE_SIZE // PAGE_SIZE
ALREADY = 0x00000B0A00000000
MISMATCH = 0xC0000B0B00000000
NOT_RETURNED = 0xFFFFFFFF00000000
INVALID = 0xC000010000000001


class NaiveSept:
    """Each 2 MiB region is None (nothing), one state (a large leaf) or a list of 512 states (a table)."""

    def __init__(self, ram: RamLayout, regions: int, host_page_size: int) -> None:
        self.ram = ram
        self.host_page_size = host_page_size
        self.regions: list[SeptState | list[SeptState] | None] = [None] * regions
        self.exits = 0

    def state(self, page: int) -> SeptState:
        region = self.regions[page // PAGES]
        if region is None:
            return SeptState.FREE
        return region[page % PAGES] if isinstance(region, list) else region

    def put_small(self, first: int, end: int, state: SeptState) -> None:
        for page in range(first, end):
            self._table(page)[page % PAGES] = state

    def put_large(self, first: int, end: int, state: SeptState) -> None:
        for region in range(first, end):
            self.regions[region] = state

    def remove(self, first: int, end: int) -> None:
        for index, region in enumerate(self.regions):
            low, high = max(first, index * PAGES), min(end, (index + 1) * PAGES)
            if low >= high:
                continue
            if high - low == PAGES and not isinstance(region, list):
                self.regions[index] = None
            else:
                self.put_small(low, high, SeptState.FREE)

    def restate(self, first: int, end: int, change: dict[SeptState, SeptState]) -> None:
        for index, region in enumerate(self.regions):
            low, high = max(first, index * PAGES), min(end, (index + 1) * PAGES)
            if low >= high:
                continue
            if high - low == PAGES and isinstance(region, SeptState):
                self.regions[index] = change.get(region, region)
            elif high - low < PAGES or isinstance(region, list):
                table = self._table(low)
                for page in range(low, high):
                    table[page % PAGES] = change.get(table[page % PAGES], table[page % PAGES])

    def accept_small(self, gpa: int) -> int:
        page = gpa // PAGE_SIZE
        while True:
            region = self.regions[page // PAGES]
            if isinstance(region, list):
                match region[page % PAGES]:
                    case SeptState.PENDING:
                        region[page % PAGES] = SeptState.MAPPED
                        return 0
                    case SeptState.MAPPED:
                        return ALREADY
                    case SeptState.BLOCKED:
                        region[page % PAGES] = SeptState.MAPPED
                    case SeptState.PENDING_BLOCKED:
                        region[page % PAGES] = SeptState.PENDING
                    case _:
                        if not self._backs(gpa):
                            return NOT_RETURNED
                        region[page % PAGES] = SeptState.PENDING
            elif region is SeptState.MAPPED:
                return ALREADY | 1
            elif region is SeptState.PENDING:
                self._table(page)
            elif region is SeptState.BLOCKED:
                self.regions[page // PAGES] = SeptState.MAPPED
            elif region is SeptState.PENDING_BLOCKED:
                self.regions[page // PAGES] = SeptState.PENDING
            else:
                if not self._backs(gpa):
                    return NOT_RETURNED
                self.put_small(page, page + 1, SeptState.PENDING)
            self.exits += 1

    def accept_large(self, gpa: int) -> int:
        index = gpa // LARGE_PAGE_SIZE
        while True:
            region = self.regions[index]
            if isinstance(region, list):
                return MISMATCH | 1
            if region is SeptState.PENDING:
                self.regions[index] = SeptState.MAPPED
                return 0
            if region is SeptState.MAPPED:
                return ALREADY | 1
            if region is SeptState.BLOCKED:
                self.regions[index] = SeptState.MAPPED
            elif region is SeptState.PENDING_BLOCKED:
                self.regions[index] = SeptState.PENDING
            elif not self._backs(gpa):
                return NOT_RETURNED
            elif self.host_page_size == LARGE_PAGE_SIZE and self.ram.contains(gpa, gpa + LARGE_PAGE_SIZE):
                self.regions[index] = SeptState.PENDING
            else:
                self.put_small(gpa // PAGE_SIZE, gpa // PAGE_SIZE + 1, SeptState.PENDING)
            self.exits += 1

    def _backs(self, gpa: int) -> bool:
        backed = self.ram.contains(gpa, gpa + PAGE_SIZE)
        self.exits += not backed
        return backed

    def _table(self, page: int) -> list[SeptState]:
        region = self.regions[page // PAGES]
        if not isinstance(region, list):
            region = [SeptState.FREE if region is None else region] * PAGES
            self.regions[page // PAGES] = region
        return region
