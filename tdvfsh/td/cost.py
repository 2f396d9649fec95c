"""A model of what accepting costs. Every figure is modelled; none was measured here.

The cost of a piece of work is ``calls of 4K x accept_4k_ns + calls of 2M x accept_2m_ns + TD exits x td_exit_ns``,
plus ``rejected_call_ns`` for every TDCALL that accepted nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final, Protocol


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


SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accept_4k_ns": (
            "derived: asterinas PR 1691 reports about 30 s for 8 GiB in 4 KiB pages, 14 us a page end to end; less the "
            "8 us of a TD exit (dstack PR 1220) leaves 6 us. Intel LKVS tdx_mem_test baselines, 2.4 to 4.1 s per GiB "
            "on one vCPU or 9 to 16 us a page, agree"
        ),
        "accept_2m_ns": (
            "placeholder: no source states the cost of a true 2 MiB accept. Derived from zeroing 2 MiB at an assumed "
            "10 GiB/s, 200 us rounded; AMD SEV-SNP figures (64 GiB below 1 s with 2 MiB PVALIDATE against 57 s with "
            "4 KiB, OHCL-Linux-Kernel issue 50) only say that it is far below 512 accepts of 4 KiB"
        ),
        "td_exit_ns": (
            "dstack PR 1220: 8 us for each EPT violation fault early in a TD's life (153 us late in the bring-up of "
            "248 vCPUs, which this figure does not model)"
        ),
        "rejected_call_ns": (
            "placeholder: a TDCALL that finds the page accepted or of another size walks the secure EPT and zeroes "
            "nothing; no source states it, 1 us is an assumption"
        ),
        "map_gpa_ns": "placeholder: one TD exit for the TDVMCALL, as dstack PR 1220 prices a fault",
        "serial_share": (
            "fitted: Intel LKVS tdx_mem_test, 32 GiB takes 80 s with 1 worker and 11 s with 32 (32 vCPUs), which is "
            "11 % that does not parallelise; asterinas issue 3640 (8 GB: 25 s, 12 s, 9 s with 1, 4, 8 vCPUs) fits 31 %"
        ),
    }
)
"""Where each constant of :class:`CostModel` comes from."""


@dataclass(frozen=True, slots=True)
class CostModel:
    """Modelled nanoseconds; :data:`SOURCES` says where each default comes from.

    Args:
        accept_4k_ns: A TDCALL that accepts 4 KiB, without TD exits.
        accept_2m_ns: A TDCALL that accepts 2 MiB, without TD exits (placeholder).
        td_exit_ns: A TD exit in which the VMM adds, demotes or unblocks a page.
        rejected_call_ns: A TDCALL that accepts nothing.
        map_gpa_ns: A MapGPA TDVMCALL.
        serial_share: Part of the work, from 0 to 1, that more vCPUs do not shorten.
    """

    accept_4k_ns: int = 6_000
    accept_2m_ns: int = 200_000
    td_exit_ns: int = 8_000
    rejected_call_ns: int = 1_000
    map_gpa_ns: int = 8_000
    serial_share: float = 0.11

    @property
    def sources(self) -> Mapping[str, str]:
        """The source of each default."""
        return SOURCES

    def nanoseconds(self, work: AcceptCounts, vcpus: int = 1) -> int:
        """Modelled nanoseconds for ``work`` shared evenly by ``vcpus``."""
        alone = (
            work.pages_4k * self.accept_4k_ns
            + work.pages_2m * self.accept_2m_ns
            + work.td_exits * self.td_exit_ns
            + (work.calls - work.pages_4k - work.pages_2m) * self.rejected_call_ns
        )
        return alone if vcpus <= 1 else self.shared(alone, 1 / vcpus)

    def shared(self, alone: int, largest_share: float) -> int:
        """Modelled nanoseconds for ``alone`` ns of work on several vCPUs, the busiest with ``largest_share`` of it."""
        return round(alone * (self.serial_share + (1 - self.serial_share) * largest_share))

    def seconds(self, work: AcceptCounts, vcpus: int = 1) -> float:
        """Modelled seconds for ``work`` shared evenly by ``vcpus``."""
        return self.nanoseconds(work, vcpus) / 1e9

    def describe(self) -> tuple[str, ...]:
        """One line for each constant: name, value, source, and that it is modelled."""
        names = [each.name for each in fields(self)]
        return tuple(f"{name} = {getattr(self, name)} (modelled; {SOURCES[name]})" for name in names)
