"""Failures on purpose: which TDCALL, which accept and which MapGPA fails, and how.

Numbers count from 1 over the life of the TD, so that a plan means the same after a snapshot is restored.
"""

from __future__ import annotations

from bisect import bisect_left

from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import Protocol
from tdvfsh.uefi.tdx import TdvmcallStatus


class TdFaults(Protocol):
    """Faults that the model consults before it acts; a TD without faults has no such object."""

    def next_tdcall(self, number: int) -> tuple[int, int] | None:
        """The first TDG.MEM.PAGE.ACCEPT from ``number`` on that fails: its number and its completion value."""

    def accept(self, number: int) -> int | None:
        """Completion value with which accept request ``number`` fails at its first TDCALL, or None."""

    def map_gpa(self, number: int) -> TdvmcallStatus | None:
        """R10 with which MapGPA call ``number`` fails, or None; RETRY here makes no progress."""

    def copy(self) -> TdFaults:
        """An independent copy, for a snapshot."""


@dataclass(slots=True)
class FaultPlan:
    """Faults by number: TDCALLs and accept requests fail with a completion value, MapGPA calls with R10."""

    tdcalls: dict[int, int] = field(default_factory=dict)
    accepts: dict[int, int] = field(default_factory=dict)
    map_gpas: dict[int, TdvmcallStatus] = field(default_factory=dict)

    def next_tdcall(self, number: int) -> tuple[int, int] | None:
        """See :class:`TdFaults`."""
        numbers = sorted(self.tdcalls)
        index = bisect_left(numbers, number)
        return (numbers[index], self.tdcalls[numbers[index]]) if index < len(numbers) else None

    def accept(self, number: int) -> int | None:
        """See :class:`TdFaults`."""
        return self.accepts.get(number)

    def map_gpa(self, number: int) -> TdvmcallStatus | None:
        """See :class:`TdFaults`."""
        return self.map_gpas.get(number)

    def copy(self) -> FaultPlan:
        """See :class:`TdFaults`."""
        return FaultPlan(dict(self.tdcalls), dict(self.accepts), dict(self.map_gpas))
