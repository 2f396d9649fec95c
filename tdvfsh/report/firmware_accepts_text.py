"""What firmware accepted, call by call: as a table, as TSV and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.table import RIGHT, table_lines
from tdvfsh.td.accept import AcceptCall
from tdvfsh.uefi.tdx import SeptLevel, completion_name
from tdvfsh.units import human_size

COLUMNS: Final = ("n", "vcpu", "gpa", "level", "status")


def level_name(level: int) -> str:
    """``4K`` or ``2M``; the bare number of a level that is not known."""
    return SeptLevel(level).name.removeprefix("LEVEL_") if level in SeptLevel.__members__.values() else str(level)


def accepts_tsv(accepts: Sequence[AcceptCall]) -> str:
    """One line a call, in order, after the columns' names."""
    lines = ["\t".join(COLUMNS)]
    for number, call in enumerate(accepts):
        cells = (
            str(number),
            str(call.vcpu),
            f"{call.address:#x}",
            level_name(call.level),
            completion_name(call.status),
        )
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def accepts_list(accepts: Sequence[AcceptCall]) -> list[dict[str, Any]]:
    """The calls for JSON, in order."""
    return [
        {
            "number": number,
            "vcpu": call.vcpu,
            "gpa": call.address,
            "level": level_name(call.level),
            "status": completion_name(call.status),
        }
        for number, call in enumerate(accepts)
    ]


def accept_runs_list(runs: Iterable[tuple[AcceptCall, int]]) -> list[dict[str, Any]]:
    """The calls for JSON, like ones of pages that follow each other as one with their number in ``calls``."""
    found, number = [], 0
    for call, count in runs:
        found.append({**accepts_list([call])[0], "number": number, "calls": count})
        number += count
    return found


def accepts_lines(accepts: Sequence[AcceptCall]) -> list[str]:
    """A table of the calls, those that follow each other in memory joined, and what each vCPU accepted."""
    rows = [["number", "vCPU", "GPA", "level", "status", "calls"]]
    for first, calls in _runs(accepts):
        start, last = calls[0].address, calls[-1]
        end = last.address + _size(last.level)
        numbers = str(first) if len(calls) == 1 else f"{first}-{first + len(calls) - 1}"
        rows.append(
            [numbers, str(last.vcpu), f"{start:#x}-{end - 1:#x}", level_name(last.level), completion_name(last.status),
             str(len(calls))]
        )  # fmt: skip
    return [*table_lines(rows, RIGHT * 2), "", *_totals(accepts)]


def _runs(accepts: Sequence[AcceptCall]) -> list[tuple[int, list[AcceptCall]]]:
    """Number of the first, and the calls, of each run: one vCPU, level and status, one page after the other."""

    def key(item: tuple[int, AcceptCall]) -> tuple[int, int, int, int]:
        number, call = item
        return call.vcpu, call.level, call.status, call.address - number * _size(call.level)

    runs = []
    for _, group in groupby(enumerate(accepts), key):
        items = list(group)
        runs.append((items[0][0], [call for _, call in items]))
    return runs


def _totals(accepts: Sequence[AcceptCall]) -> list[str]:
    lines = []
    for vcpu in sorted({call.vcpu for call in accepts}):
        done = [call for call in accepts if call.vcpu == vcpu and not call.status]
        small, large = (sum(call.level == level for call in done) for level in (SeptLevel.LEVEL_4K, SeptLevel.LEVEL_2M))
        size = sum(_size(call.level) for call in done)
        calls = sum(call.vcpu == vcpu for call in accepts)
        lines.append(f"vCPU {vcpu}: {calls} calls, {small} × 4K and {large} × 2M accepted, {human_size(size)}")
    return lines or ["nothing was accepted"]


def _size(level: int) -> int:
    return SeptLevel(min(level, SeptLevel.LEVEL_1G)).page_size
