"""``tdvfsh lazy``: the real kernel with ``accept_memory=lazy`` and ``eager`` side by side."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import named_files
from tdvfsh.cli.output import print_json, print_lines, print_notes
from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import TYPE_CHECKING, Any, Final
from tdvfsh.report.modelled_text import ModelledSeconds, cell_text, range_object
from tdvfsh.report.schema import document
from tdvfsh.report.table import table_lines
from tdvfsh.units import human_size

if TYPE_CHECKING:
    from tdvfsh.engine.introspect.fast_decompress import Shortcut
    from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
    from tdvfsh.engine.runs.os_run import OsRun

POLICIES: Final = ("lazy", "eager")
_HEADS: Final = (
    "memory", "accept at boot", "accept_memory", "before kernel", "by kernel", "left", "TDCALLs", "modelled", "ended",
)  # fmt: skip
_KERNEL_SAYS: Final = "kernel's Unaccepted"
_SAID: Final = "kernel_says_unaccepted_bytes"
_FORMS: Final = (".svg", ".png")
_ASK: Final = "grep Unaccepted: /proc/meminfo"
_ENDED_WELL: Final = re.compile("power off|reset|matched|input ended")
_UNACCEPTED: Final = re.compile(rb"Unaccepted: +(\d+) kB")  # a shell may have sent an escape sequence before it


def run_lazy(arguments: Arguments) -> int:
    """Every combination of memory, accept and policy. Exit status 1 where a system did not end well."""
    from tdvfsh.cli.drives import opened_drives
    from tdvfsh.cli.run_limits import time_limit, until_pattern
    from tdvfsh.cli.run_status import run_status
    from tdvfsh.engine.console.serial_input import CommandsAtShell
    from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
    from tdvfsh.engine.runs.os_run import SystemOptions
    from tdvfsh.engine.virtio.parts import VirtioParts
    from tdvfsh.report.accepts_over_time import timeline_lines

    memories = arguments.axis("memory") or ["2G"]
    accepts = arguments.axis("accept") or ["512M"]
    cases = list(product(memories, accepts, POLICIES))
    until, command, plot = until_pattern(arguments), arguments.optional("run"), arguments.optional("output")
    if plot is not None and not plot.lower().endswith(_FORMS):
        raise UsageError(f"-o {plot}: a plot is an {' or '.join(_FORMS)} file")
    timelines: list[tuple[str, OsRun]] = []
    rows: list[dict[str, Any]] = []
    shortcuts: list[Shortcut] = []
    ended_well = True
    with named_files(arguments) as (_, opened), run_status() as status:
        for number, (memory, accept, policy) in enumerate(cases, 1):
            status.prefix = f"boot {number} of {len(cases)}, accept_memory={policy}: "
            options = arguments.td_options(memory=memory, accept=accept)
            if not options.td:
                raise UsageError("--no-td: a plain VM accepts nothing")
            files = replace(opened.boot, cmdline=f"{opened.boot.cmdline} accept_memory={policy}".strip())
            console = bytearray()
            with opened_drives(arguments) as drives:
                system = SystemOptions(
                    console.extend, until, typed=None if command is None else CommandsAtShell(f"{command}\n{_ASK}\n"),
                    virtio=VirtioParts(drives.drives, arguments.flag("rng")),
                )  # fmt: skip
                result = boot_on_cpu(
                    options, files, time_limit=time_limit(arguments), through_os=system,
                    fast_decompress=arguments.flag("fast_decompress"), progress=status,
                )  # fmt: skip
            rows.append(
                _data(memory, accept, policy, result, console if command is not None else None)
            )  # and not the result, which keeps the guest's memory
            if result.os_run is not None:
                timelines.append((f"{memory}, {accept} at boot, accept_memory={policy}", result.os_run))
            if result.shortcut is not None:
                shortcuts.append(result.shortcut)
            ended_well = ended_well and result.os_run is not None and result.os_run.succeeded
    if arguments.flag("json"):
        print_json(document("lazy", {"runs": rows}))
    else:
        heads = _HEADS if command is None else (*_HEADS[:6], _KERNEL_SAYS, *_HEADS[6:])
        aligned = "   >>>>>" if command is None else "   >>>>>>"
        print_lines(table_lines([heads, *map(_cells, rows)], aligned) + _shortcut_lines(shortcuts))
        for title, run in timelines if arguments.flag("timeline") else ():
            print_lines(["", title, *timeline_lines(run)])
    if plot is not None:
        _write_plot(plot, timelines)
        print_notes([f"tdvfsh: {plot}: what the kernel accepted over time, {len(timelines)} runs"])
    return 0 if ended_well else 1


def _write_plot(path: str, timelines: list[tuple[str, OsRun]]) -> None:
    from tdvfsh.sweep.drawing.accepts_drawing import AcceptPanel, accepts_drawing
    from tdvfsh.sweep.drawing.png import to_png
    from tdvfsh.sweep.drawing.svg import to_svg
    from tdvfsh.whole_file import write_whole

    drawing = accepts_drawing([AcceptPanel(title, run) for title, run in timelines])
    write_whole(path, to_png(drawing) if path.lower().endswith(".png") else to_svg(drawing).encode())


def _shortcut_lines(shortcuts: list[Shortcut]) -> list[str]:
    """What became of the shortcut, once for runs where it was the same."""
    from tdvfsh.report.boots.boot_text import labelled
    from tdvfsh.report.boots.shortcut_text import shortcut_sentence

    times = Counter(map(shortcut_sentence, shortcuts))
    return [line for text, runs in times.items()
            for line in labelled("shortcut", f"in {runs} of {len(shortcuts)} runs {text}")]  # fmt: skip


def _data(
    memory: str, accept: str, policy: str, result: CpuBootResult, console: bytearray | None = None
) -> dict[str, Any]:
    from tdvfsh.report.accepts_over_time import timeline_list
    from tdvfsh.report.boots.os_run_text import os_run_dict
    from tdvfsh.report.boots.shortcut_text import shortcut_dict

    before = result.accept_time
    found: dict[str, Any] = {
        "memory": memory,
        "accept": accept,
        "accept_memory": policy,
        "before_kernel_bytes": result.boot_bytes + result.on_demand_bytes,
        "before_kernel_modelled_seconds": before.seconds,
        "modelled": range_object(before if result.os_run is None else before + result.os_run.accept_time),
        "status": result.status.name,
        "stage": result.stage,
    }
    if console is not None:
        said = _UNACCEPTED.findall(console)
        found[_SAID] = 1024 * int(said[-1]) if said else None
    if result.shortcut is not None:
        found["shortcut"] = shortcut_dict(result.shortcut)
    if result.os_run is not None:
        found["os"] = os_run_dict(result)
        found["timeline"] = timeline_list(result.os_run)
    return found


def _size_or_none(size: int | None) -> str:
    return "-" if size is None else human_size(size)


def _cells(data: dict[str, Any]) -> tuple[str, ...]:
    start = (data["memory"], data["accept"], data["accept_memory"], human_size(data["before_kernel_bytes"]))
    run = data.get("os")
    modelled = cell_text(ModelledSeconds(**data["modelled"]))
    said = [_size_or_none(data[_SAID])] if _SAID in data else []
    if run is None:
        return (*start, "-", "-", *["-" for _ in said], "-", modelled, f"{data['status']} at {data['stage']}")
    by_kernel = run["unaccepted_bytes_before"] - run["unaccepted_bytes_after"]
    calls = sum(row["calls"] for row in run["accepts"])
    return (
        *start,
        human_size(by_kernel),
        human_size(run["unaccepted_bytes_after"]),
        *said,
        f"{calls:,}",
        modelled,
        run["ending"]
        if re.fullmatch("power off|reset|matched|input ended", run["ending"])
        else f"{run['ending']}: {run['why']}",
    )
