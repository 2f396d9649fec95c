"""What an operating system accepted over time, by acceptor and vCPU: as a table, and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tdvfsh.engine.runs.os_run import OsRun
from tdvfsh.engine.tdx.page_accepts import Acceptor
from tdvfsh.lazy_typing import Any, Final, NamedTuple
from tdvfsh.report.table import RIGHT, table_lines
from tdvfsh.units import human_size

_ROWS: Final = 12


class AcceptedUntil(NamedTuple):
    """What had been accepted at a moment.

    Attributes:
        seconds: Virtual time from the system's first instruction on.
        by: Bytes by acceptor, in the order in which they began.
    """

    seconds: float
    by: dict[Acceptor, int]

    @property
    def total(self) -> int:
        """Bytes of all."""
        return sum(self.by.values())


def accepted_over_time(run: OsRun, steps: int) -> list[AcceptedUntil]:
    """What had been accepted at so many moments that are equally far from each other, the last one the last accept."""
    until = dict.fromkeys(_acceptors(run), 0)
    end = max([1, *(moment.milliseconds for moment in run.moments)])
    found, at = [], 0
    for step in range(1, steps + 1):
        now = -(-end * step // steps)
        while at < len(run.moments) and run.moments[at].milliseconds <= now:
            until[run.moments[at].acceptor] += run.moments[at].accepted_bytes
            at += 1
        found.append(AcceptedUntil(now / 1000, dict(until)))
    return found


def _acceptors(run: OsRun) -> list[Acceptor]:
    return list(dict.fromkeys(moment.acceptor for moment in run.moments))


def acceptor_name(acceptor: Acceptor) -> str:
    """As a column is called."""
    return f"{acceptor.phase.removeprefix('kernel, ')}, vCPU {acceptor.vcpu}"


def timeline_lines(run: OsRun) -> list[str]:
    """A table: virtual time, what each acceptor had accepted until then, all of it, and what was left; last the end."""
    rows = [["after", *map(acceptor_name, _acceptors(run)), "together", "left"]]
    found = list(_without_repetition(accepted_over_time(run, _ROWS)))
    for until in (*found, found[-1]._replace(seconds=max(found[-1].seconds, run.virtual_seconds))):
        left = run.unaccepted_after + run.total.accepted_bytes - until.total
        rows.append(
            [f"{until.seconds:.2f} s", *map(human_size, until.by.values()), human_size(until.total), human_size(left)]
        )
    return table_lines(rows, RIGHT * len(rows[0]))


def _without_repetition(found: Sequence[AcceptedUntil]) -> Iterator[AcceptedUntil]:
    """Moments between two others at which nothing was different are left out."""
    for number, until in enumerate(found):
        edges = 0 < number < len(found) - 1
        if not edges or not found[number - 1].by == until.by == found[number + 1].by:
            yield until


def timeline_list(run: OsRun) -> list[dict[str, Any]]:
    """Every change, for JSON: milliseconds of virtual time, who, and how many bytes."""
    return [
        {
            "milliseconds": moment.milliseconds,
            "by": moment.acceptor.phase,
            "vcpu": moment.acceptor.vcpu,
            "bytes": moment.accepted_bytes,
        }
        for moment in run.moments
    ]
