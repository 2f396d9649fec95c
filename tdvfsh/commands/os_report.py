"""A run of an operating system for people and for machines."""

from __future__ import annotations

from typing import Any, Final

from tdvfsh.engine.boot import CpuBootResult
from tdvfsh.engine.os_run import OsRun
from tdvfsh.engine.tdx.page_accepts import AcceptTally
from tdvfsh.report.boot_text import labelled
from tdvfsh.report.table import table_lines
from tdvfsh.units import human_size

FIRMWARE: Final = "firmware"
LOADER: Final = "on demand"


def accept_rows(result: CpuBootResult) -> list[tuple[str, AcceptTally]]:
    """Everybody who accepted, in order: the firmware at boot, on demand before the kernel, then the kernel's phases."""
    run, boot = result.os_run, result.machine.boot_accept
    assert run is not None
    rows: list[tuple[str, AcceptTally]] = []
    if boot is not None:
        outcome = boot.outcome
        first = AcceptTally(
            outcome.calls, outcome.pages_4k, outcome.pages_2m, outcome.size_mismatches, outcome.already_accepted,
            outcome.td_exits, round(result.boot_accept_seconds * 1e9),
        )  # fmt: skip
        rows.append((FIRMWARE, first))
    later = AcceptTally(
        result.accept_calls - (boot.outcome.calls if boot is not None else 0),
        result.on_demand_pages("pages_4k"),
        result.on_demand_pages("pages_2m"),
        ns=round(result.on_demand_seconds * 1e9),
    )
    if later.calls:
        rows.append((LOADER, later))
    return [*rows, *run.phases.items()]


def os_run_lines(result: CpuBootResult) -> list[str]:
    """How it ended, who accepted what, and what that cost."""
    run = result.os_run
    assert run is not None
    lines = ["", *labelled("OS ran", f"{run.ending}: {run.why}")]
    vcpus = result.machine.options.vcpus
    if vcpus > 1:
        lines += labelled("", f"one of the {vcpus} vCPUs ran: the engine starts no other")
    if not result.machine.options.td:
        return lines
    drop = run.unaccepted_before - run.unaccepted_after
    again = run.total.accepted_bytes - drop
    anew = f", {human_size(again)} of it anew after conversions" if again > 0 else ""
    if again < 0:
        anew = f", and shared {human_size(-again)} that were never accepted"
    lines += [
        *table_lines(_cells(accept_rows(result), _vcpus_of_firmware(result)), " >>>>>>>"),
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


def _vcpus_of_firmware(result: CpuBootResult) -> int:
    """How many vCPUs SEC accepted with; everybody after it runs on the first."""
    boot = result.machine.boot_accept
    return 1 if boot is None else len(boot.accepted_bytes_per_vcpu)


def _cells(rows: list[tuple[str, AcceptTally]], vcpus: int) -> list[tuple[str, ...]]:
    heads = ("accepted by", "bytes", "4 KiB", "2 MiB", "TDCALLs", "TD exits", "modelled", "vCPU")
    return [
        heads,
        *(
            (
                name,
                human_size(tally.accepted_bytes),
                f"{tally.pages_4k:,}",
                f"{tally.pages_2m:,}",
                f"{tally.calls:,}",
                f"{tally.td_exits:,}",
                f"{tally.ns / 1e9:.3f} s",
                f"0-{vcpus - 1}" if name == FIRMWARE and vcpus > 1 else "0",
            )
            for name, tally in rows
        ),
    ]


def _cost(result: CpuBootResult, run: OsRun) -> str:
    before = result.boot_accept_seconds + result.on_demand_seconds
    done = before + run.accept_seconds
    return (
        f"{done:.3f} s of accepting so far, {before:.3f} s of them before the kernel; all of it at once would take "
        f"{done + run.rest_seconds:.3f} s, so that {run.rest_seconds:.3f} s are put off"
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
                "by": name,
                "vcpus": _vcpus_of_firmware(result) if name == FIRMWARE else 1,
                "bytes": tally.accepted_bytes,
                "calls": tally.calls,
                "pages_4k": tally.pages_4k,
                "pages_2m": tally.pages_2m,
                "size_mismatches": tally.mismatches,
                "refused": tally.refused,
                "td_exits": tally.td_exits,
                "modelled_seconds": tally.ns / 1e9,
            }
            for name, tally in accept_rows(result)
        ],
        "unaccepted_bytes_before": run.unaccepted_before,
        "unaccepted_bytes_after": run.unaccepted_after,
        "shared_bytes": run.shared_bytes,
        "lost_bytes": run.lost_bytes,
        "bitmap_units_before": bits_set(run.bitmap_before),
        "bitmap_units_after": bits_set(run.bitmap_after),
        "modelled_seconds": {
            "kernel_accepts": run.accept_seconds,
            "rest": run.rest_seconds,
        },
        "virtual_seconds": run.virtual_seconds,
        "counts": dict(run.counts),
        "violation": None if run.violation is None else run.violation.lines(),
    }
