"""The cost model: counts of accepts in, modelled times out.

The cost of work is ``calls of 4K x accept_4k + calls of 2M x accept_2m + TD exits x td_exit``, plus ``rejected_call``
for every TDCALL that accepted nothing. Of work that several vCPUs share, ``serial_share`` takes as long as on one.
"""

from __future__ import annotations

from collections.abc import Mapping

from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import NamedTuple, Protocol
from tdvfsh.td.cost.constants import CONSTANTS, Constant
from tdvfsh.td.cost.modelled import Modelled


class AcceptCounts(Protocol):
    """What the model prices: how many pages of each size, TDCALLs and TD exits."""

    @property
    def pages_4k(self) -> int: ...
    @property
    def pages_2m(self) -> int: ...
    @property
    def calls(self) -> int: ...
    @property
    def td_exits(self) -> int: ...


class _Rates(NamedTuple):
    """One value of each constant, in nanoseconds, shares and numbers; the fields' names are the constants'."""

    accept_4k: float
    accept_2m: float
    td_exit: float
    td_exit_per_vcpu: float
    td_exit_most: float
    rejected_call: float
    map_gpa: float
    serial_share: float
    smp_blocks: float

    def alone(self, work: AcceptCounts) -> float:
        """Nanoseconds of ``work`` on one vCPU."""
        return (
            work.pages_4k * self.accept_4k
            + work.pages_2m * self.accept_2m
            + work.td_exits * self.td_exit
            + (work.calls - work.pages_4k - work.pages_2m) * self.rejected_call
        )

    def shared(self, largest_share: float) -> float:
        """What part of the time on one vCPU is left where the busiest of several does ``largest_share`` of the work."""
        return self.serial_share + (1 - self.serial_share) * largest_share

    def exit_during_bring_up(self, vcpus: int) -> float:
        """The mean TD exit while vCPUs come online one after the other, beyond :attr:`td_exit`."""
        room, step = max(0.0, self.td_exit_most - self.td_exit), self.td_exit_per_vcpu
        others = vcpus - 1
        if others <= 0 or step <= 0:
            return 0.0
        rising = min(others, int(room / step))
        return (rising * (rising + 1) / 2 * step + (others - rising) * room) / others


@dataclass(frozen=True)
class CostModel:
    """The constants of a host.

    Attributes:
        name: The preset or the file, and what was changed of it.
        constants: Every name of :data:`tdvfsh.td.cost.CONSTANTS`.
        host_page_size: Bytes of the largest page that the host maps.
        summary: What it is the cost of, in a sentence.
    """

    name: str
    constants: Mapping[str, Constant]
    host_page_size: int
    summary: str = ""
    _low: _Rates = field(init=False, repr=False, compare=False)
    _likely: _Rates = field(init=False, repr=False, compare=False)
    _high: _Rates = field(init=False, repr=False, compare=False)
    _placeholders: _Rates = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for which in ("low", "likely", "high"):
            rates = _Rates(*(getattr(self.constants[name], which) for name in CONSTANTS))
            object.__setattr__(self, f"_{which}", rates)
        guessed = (one.likely if one.is_placeholder else 0.0 for one in map(self.constants.__getitem__, CONSTANTS))
        object.__setattr__(self, "_placeholders", _Rates(*guessed))

    def nanoseconds(self, work: AcceptCounts) -> int:
        """Likely nanoseconds of ``work`` on one vCPU."""
        return round(self._likely.alone(work))

    def time(self, work: AcceptCounts, vcpus: int = 1, largest_share: float | None = None) -> Modelled:
        """The modelled time of ``work``.

        Args:
            work: What is done.
            vcpus: How many vCPUs share in it.
            largest_share: What part of it the busiest vCPU does; an even part where None.
        """
        if vcpus <= 1:
            low, likely, high = self._low.alone(work), self._likely.alone(work), self._high.alone(work)
            return Modelled(round(low), round(likely), round(high), round(self._placeholder(work)), False)
        part = 1 / vcpus if largest_share is None else largest_share
        low, likely, high = (rates.alone(work) * rates.shared(part) for rates in (self._low, self._likely, self._high))
        placeholder = self._placeholder(work) * self._likely.shared(part)
        return Modelled(
            round(low),
            round(likely),
            round(high),
            round(placeholder),
            self._beyond(vcpus, "serial_share"),
        )

    def calls(self, name: str, count: int) -> Modelled:
        """The modelled time of ``count`` times a constant: ``td_exit``, ``map_gpa``."""
        constant = self.constants[name]
        likely = round(constant.likely * count)
        return Modelled(
            round(constant.low * count),
            likely,
            round(constant.high * count),
            likely if constant.is_placeholder else 0,
        )

    def bring_up(self, block: AcceptCounts, vcpus: int, available: int) -> tuple[int, Modelled]:
        """What Linux accepts while it brings up its vCPUs, all of it on the boot processor.

        Args:
            block: The work of one block of 4 MiB.
            vcpus: How many vCPUs there are in the end.
            available: Blocks that there are to accept.

        Returns:
            The likely number of blocks, and the time. The high time is of the high number of blocks: kernels differ
            in it more than hosts in anything else.
        """
        numbers: list[int] = []
        times: list[int] = []
        for rates in (self._low, self._likely, self._high):
            number = min(available, round(rates.smp_blocks * max(0, vcpus - 1)))
            numbers.append(number)
            later = rates.exit_during_bring_up(vcpus) * block.td_exits
            times.append(round(number * (rates.alone(block) + later)))
        beyond = self._beyond(vcpus, "smp_blocks", "td_exit_per_vcpu", "td_exit_most")
        placeholder = round(self._placeholder(block) * numbers[1])
        return numbers[1], Modelled(times[0], times[1], times[2], placeholder, vcpus > 1 and times[2] > 0 and beyond)

    def exit_nanoseconds(self, online: int) -> tuple[float, float, float]:
        """Low, likely and high cost of a TD exit during SMP bring-up, while ``online`` vCPUs are up."""
        low, likely, high = (
            max(rates.td_exit, min(rates.td_exit + rates.td_exit_per_vcpu * max(0, online - 1), rates.td_exit_most))
            for rates in (self._low, self._likely, self._high)
        )
        return low, likely, high

    def seconds(self, work: AcceptCounts, vcpus: int = 1) -> float:
        """Likely seconds for ``work`` shared evenly by ``vcpus``."""
        return self.time(work, vcpus).seconds

    def _placeholder(self, work: AcceptCounts) -> float:
        return self._placeholders.alone(work)

    def _beyond(self, vcpus: int, *names: str) -> bool:
        return any(0 < self.constants[name].observed_vcpus < vcpus for name in names)
