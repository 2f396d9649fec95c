"""Accepted RAM as the emulator maps it: few regions, and never what is not accepted.

What is accepted while the guest runs becomes a region of its own when it is touched. Unicorn's regions cost more the
more there are, so that from time to time neighbours become one. To unmap a region takes as long as it has pages, so
that one which is large for its run stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.td.ranges import RangeMap
from tdvfsh.units import MIB, PAGE_SIZE

_MANY: Final = 192
_LARGE: Final = 64 * MIB
_PARTS: Final = 64
_END: Final = 1 << 64


class MappedRam:
    """What the emulator sees of RAM.

    Args:
        uc: The emulator.
        ram: The bytes.
    """

    def __init__(self, uc: Any, ram: GuestRam) -> None:
        unicorn: Any = cpu_extra("unicorn")
        self._everything: int = unicorn.UC_PROT_ALL
        self._uc = uc
        self._ram = ram
        self._mapped: RangeMap[bool] = RangeMap()
        self._regions = 0  # as the emulator has them; -1 where that is not known
        self._most = _MANY
        self.changed: Callable[[list[tuple[int, int]]], None] = lambda runs: None
        self.grows: Callable[[tuple[int, int | None], int, int], None] = lambda gap, start, end: None

    @property
    def runs(self) -> list[tuple[int, int]]:
        """What is mapped, in ascending order."""
        return [(start, end) for start, end, _ in self._mapped.spans()]

    def map_accepted(self) -> None:
        """Let the guest see what is accepted now, and no longer what is not. Only while it does not run."""
        self._ram.refresh()
        runs = self._ram.runs
        wanted: RangeMap[bool] = RangeMap()
        for start, end in runs:
            wanted.set(start, end, True)
        for start, end in _missing(self._mapped, wanted):
            self._uc.mem_unmap(start, end - start)
            self._mapped.clear(start, end)
            self._regions = -1
        if self._regions < 0:
            self._regions = len(self._of_ram())
        fresh = _missing(wanted, self._mapped)
        for start, end in fresh:
            self._map(start, end)
        self._join()
        self.changed(self.runs)
        self._ram.shown()

    def grow(self, pieces: Sequence[tuple[int, int]]) -> None:
        """Let the guest see what was accepted, all else being as it was. Only while it does not run."""
        for start, end in pieces:
            self.grows(self._mapped.gap(start), start, end)
            self._map(start, end)
        self._join()

    def map_only(self, runs: Sequence[tuple[int, int]]) -> None:
        """Let the guest see these runs, all of them accepted, and no others. Only while it does not run."""
        for start, end in self._of_ram():
            self._uc.mem_unmap(start, end - start)
        self._mapped = RangeMap()
        self._regions = 0
        for start, end in runs:
            self._map(start, end)
        self.changed(self.runs)

    def _of_ram(self) -> list[tuple[int, int]]:
        """The emulator's regions of RAM, in ascending order."""
        return sorted((start, last + 1) for start, last, _ in self._uc.mem_regions() if self._mapped.get(start))

    def _join(self) -> None:
        """Where there are many regions, make one of neighbours that are small for their run."""
        if self._regions <= self._most:
            return
        small: list[tuple[int, int]] = []
        for start, end in [*self._of_ram(), (_END, _END)]:
            if small and small[-1][1] != start:
                self._join_these(small)
                small = []
            run = self._mapped.find(start)
            if run is None or end - start >= max(_LARGE, (run[1] - run[0]) // _PARTS):
                self._join_these(small)
                small = []
            else:
                small.append((start, end))
        self._most = max(_MANY, 2 * self._regions)

    def _join_these(self, neighbours: Sequence[tuple[int, int]]) -> None:
        if len(neighbours) < 2:
            return
        for start, end in neighbours:
            self._uc.mem_unmap(start, end - start)
        self._regions -= len(neighbours)
        self._map(neighbours[0][0], neighbours[-1][1])

    def _map(self, start: int, end: int) -> None:
        self._uc.mem_map_ptr(start, end - start, self._everything, self._ram.host_address + start)
        self._mapped.set(start, end, True)
        self._regions += 1

    def map_alias(self, address: int, start: int, size: int) -> None:
        """Show ``size`` bytes of RAM at ``start`` a second time, at ``address`` beyond all RAM."""
        self._uc.mem_map_ptr(address, size, self._everything, self._ram.host_address + start)

    def forget_code(self, start: int, end: int) -> None:
        """Memory was written from outside: drop what was translated from it."""
        for low, high, _ in self._mapped.spans(start, end):
            self._uc.ctl_remove_cache(low, high)


def _missing(these: RangeMap[bool], those: RangeMap[bool]) -> list[tuple[int, int]]:
    """The parts of ``these`` that are not in ``those``, page aligned as all ranges are."""
    pieces: list[tuple[int, int]] = []
    for start, end, _ in these.spans():
        at = start
        for low, high, _ in those.spans(start, end):
            if at < low:
                pieces.append((at, low))
            at = high
        if at < end:
            pieces.append((at, end))
    return [(start, end) for start, end in pieces if end - start >= PAGE_SIZE]
