"""Accepted RAM as the emulator maps it: one region a run, as few as can be, and never what is not accepted.

Unicorn's regions cost more the more there are, so that many are made anew as whole runs, where that halves them: RAM
that is accepted in pieces which do not touch has as many runs, and to make them anew gains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.td.ranges import RangeMap
from tdvfsh.units import PAGE_SIZE

_MAXIMUM_REGIONS: Final = 192


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
        self.changed: Callable[[list[tuple[int, int]]], None] = lambda runs: None

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
        if self._regions + len(fresh) > max(_MAXIMUM_REGIONS, 2 * len(runs)):
            self._compact(runs)
        else:
            for start, end in fresh:
                self._map(start, end)
        self.changed(self.runs)

    def map_only(self, runs: Sequence[tuple[int, int]]) -> None:
        """Let the guest see these runs, all of them accepted, and no others. Only while it does not run."""
        self._compact(runs)
        self.changed(self.runs)

    def _of_ram(self) -> list[tuple[int, int, int]]:
        """The emulator's regions of RAM: start, last byte, protection."""
        return [region for region in self._uc.mem_regions() if region[0] < self._ram.end]

    def _compact(self, runs: Sequence[tuple[int, int]]) -> None:
        for start, end, _ in self._of_ram():
            self._uc.mem_unmap(start, end + 1 - start)
        self._mapped = RangeMap()
        self._regions = 0
        for start, end in runs:
            self._map(start, end)

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
