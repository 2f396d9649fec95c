"""Places of a run that are the same each time: counted where a run is repeated, so that one can go back to them.

A run is a row of halts, and of continuations from one to the next. Where it is repeated, arrivals at the breakpoints of
now are counted from each halt on, though the run did not halt there at the time: the last one before the present is
where a run backwards halts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tdvfsh.engine.debug.halt import Until, Watch
from tdvfsh.engine.debug.places import Breakpoints, Watchpoints
from tdvfsh.lazy_typing import NamedTuple


class Moment(NamedTuple):
    """A moment of a run.

    Attributes:
        halt: Number of a halt, from 0.
        until: How far it is from there; None for the halt itself.
    """

    halt: int
    until: Until | None = None


class Arrivals:
    """Counts of arrivals.

    Args:
        breakpoints: The breakpoints.
        watchpoints: The watchpoints.

    Attributes:
        latest: The last arrival at what is observed; None where there was none.
    """

    def __init__(self, breakpoints: Breakpoints, watchpoints: Watchpoints) -> None:
        self._breakpoints = breakpoints
        self._watchpoints = watchpoints
        self._addresses: frozenset[int] = frozenset()
        self._counts: Counter[int | Watch] = Counter()
        self._halts = -1
        self._start = 0
        self._until: Until | None = None
        self.latest: Moment | None = None

    def observe(self, addresses: Iterable[int], watches: Iterable[Watch]) -> None:
        """Count arrivals at these addresses and accesses to this physical memory, before the first halt is over."""
        self._addresses = frozenset(addresses)
        self._breakpoints.observe(self._addresses)
        self._breakpoints.arrived = self._arrived
        self._watchpoints.observe(0, watches)
        self._watchpoints.accessed = self._accessed

    def resumed(self, address: int, until: Until | None) -> None:
        """A halt is over: the run goes on from an address, and is to halt at a place that is counted, if any."""
        self._halts += 1
        self._counts.clear()
        self._start, self._until = address, until
        if address in self._addresses:
            self.latest = Moment(self._halts)
        if until is not None and until.address is not None:
            self._breakpoints.observe((*self._addresses, until.address))
            self._breakpoints.arrived = self._arrived
        if until is not None and until.watch is not None:
            self._watchpoints.observe(0, (until.watch,))
            self._watchpoints.accessed = self._accessed
            self._watchpoints.muted = True

    def halted(self) -> None:
        """The run has halted once more."""
        until, self._until = self._until, None
        if until is not None and until.address is not None:
            self._breakpoints.observe(self._addresses)
        if until is not None and until.watch is not None:
            self._watchpoints.observe(0, ())
            self._watchpoints.muted = False

    def _arrived(self, address: int, halts: bool) -> bool:
        self._counts[address] += 1
        number = self._counts[address]
        until = self._until
        if until is not None and (until.address, until.number) == (address, number):
            return True
        begins = number == 1 and address == self._start
        if address in self._addresses and not halts and not begins:
            self.latest = Moment(self._halts, Until(address=address, number=number))
        return False

    def _accessed(self, watch: Watch) -> bool:
        if self._breakpoints.quiet:  # an access that is made again
            return False
        self._counts[watch] += 1
        number, until = self._counts[watch], self._until
        if until is not None and (until.watch, until.number) == (watch, number):
            return True
        self.latest = Moment(self._halts, Until(watch=watch, number=number))
        return False
