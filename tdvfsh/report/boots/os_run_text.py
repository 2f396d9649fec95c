"""A run of an operating system in readable form and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.engine.runs.accept_account import AcceptRow
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.os_run import OsRun
from tdvfsh.lazy_typing import Any
from tdvfsh.report.boots.boot_text import labelled
from tdvfsh.report.modelled_text import cell_text, range_text
from tdvfsh.report.table import printable, table_lines
from tdvfsh.units import human_size


def os_run_lines(result: CpuBootResult) -> list[str]:
    """How it ended, what each caller accepted, and what that cost."""
    run = result.os_run
    assert run is not None
    lines = ["", *labelled("OS ran", f"{run.ending}: {run.why}")]
    vcpus = result.machine.options.vcpus
    if vcpus > 1:
        started = "one" if run.vcpus == 1 else str(run.vcpus)
        lines += labelled("", f"{started} of the {vcpus} vCPUs ran")
    if run.refused:
        lines += labelled("refused", ", ".join(f"{printable(text)} × {count}" for text, count in run.refused.items()))
    if not result.machine.options.td:
        return lines
    drop, again = run.dropped_bytes, run.again_bytes
    anew = f", {human_size(again)} of it anew after conversions" if again > 0 else ""
    if again < 0:
        anew = f", and shared {human_size(-again)} that were never accepted"
    lines += [
        *table_lines(_cells(result.accept_account), " >>>>>>>"),
        *labelled(
            "left",
            f"{human_size(run.unaccepted_before)} unaccepted before the kernel, "
            f"{human_size(run.unaccepted_after)} after it: {human_size(drop)} less; "
            f"it accepted {human_size(run.total.accepted_bytes)}{anew}",
        ),
    ]
    if run.shared_bytes:
        taken = f"; conversions took away {human_size(run.lost_bytes)} that were accepted" if run.lost_bytes > 0 else ""
        lines += labelled("shared", f"{human_size(run.shared_bytes)} in the end{taken}")
    if run.bitmap_before:
        before, after = bits_set(run.bitmap_before), bits_set(run.bitmap_after)
        lines += labelled("bitmap", f"{before:,} units of 2 MiB unaccepted before, {after:,} after")
    return lines + labelled("modelled", _cost(result, run))


def bits_set(bitmap: bytes) -> int:
    """Units that a bitmap says are unaccepted."""
    return int.from_bytes(bitmap, "little").bit_count()


def _cells(rows: Sequence[AcceptRow]) -> list[tuple[str, ...]]:
    heads = ("accepted by", "bytes", "4 KiB", "2 MiB", "TDCALLs", "TD exits", "modelled", "vCPU")
    return [
        heads,
        *(
            (
                row.name,
                human_size(row.tally.accepted_bytes),
                f"{row.tally.pages_4k:,}",
                f"{row.tally.pages_2m:,}",
                f"{row.tally.calls:,}",
                f"{row.tally.td_exits:,}",
                cell_text(row.time),
                row.executed_by,
            )
            for row in rows
        ),
    ]


def _cost(result: CpuBootResult, run: OsRun) -> str:
    before = result.accept_time
    done = before + run.accept_time
    return (
        f"{range_text(done)} of accepting so far, {range_text(before)} of it before the kernel; all of it at once "
        f"would take {range_text(done + run.rest_time)}, so that {range_text(run.rest_time)} is put off"
    )


def os_run_dict(result: CpuBootResult) -> dict[str, Any]:
    """The ``os`` object of ``boot --json``: bytes and seconds; seconds of accepts are modelled."""
    run = result.os_run
    assert run is not None
    return {
        "ending": run.ending,
        "why": run.why,
        "accepts": [
            {
                "by": row.name,
                "vcpu": row.vcpu,
                "vcpus": row.vcpus,
                "bytes": row.tally.accepted_bytes,
                "calls": row.tally.calls,
                "pages_4k": row.tally.pages_4k,
                "pages_2m": row.tally.pages_2m,
                "size_mismatches": row.tally.mismatches,
                "refused": row.tally.refused,
                "td_exits": row.tally.td_exits,
                "modelled_seconds": row.time.seconds,
                "range": list(row.time.range_seconds),
            }
            for row in result.accept_account
        ],
        "unaccepted_bytes_before": run.unaccepted_before,
        "unaccepted_bytes_after": run.unaccepted_after,
        "shared_bytes": run.shared_bytes,
        "lost_bytes": run.lost_bytes,
        "bitmap_units_before": bits_set(run.bitmap_before),
        "bitmap_units_after": bits_set(run.bitmap_after),
        "modelled_seconds": {
            "kernel_accepts": run.accept_time.seconds,
            "rest": run.rest_time.seconds,
            "range": {
                "kernel_accepts": list(run.accept_time.range_seconds),
                "rest": list(run.rest_time.range_seconds),
            },
        },
        "vcpus": run.vcpus,
        "virtual_seconds": run.virtual_seconds,
        "counts": dict(run.counts),
        "refused": dict(run.refused),
        "violation": None if run.violation is None else run.violation.lines(),
    }
