"""The page: one HTML file with everything in it, for any browser, offline.

Needs jinja2 and plotly, from the ``report`` extra.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import PurePath
from shlex import join

from tdvfsh.errors import MissingError
from tdvfsh.history.accept_events import AcceptEvent
from tdvfsh.history.boot_story import StoryStep, failing_step
from tdvfsh.history.facts import JournalFacts
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.boots.compare_text import ComparedRow, alike_rows
from tdvfsh.report.modelled_text import cell_text
from tdvfsh.report.page.values import facts_line, page_values
from tdvfsh.td.cost import CONSTANTS
from tdvfsh.td.cost.constants import value_text
from tdvfsh.trace.file import TraceFile
from tdvfsh.units import human_seconds, human_size

_SCRIPTS: Final = ("painted.js", "map.js", "moment.js", "journal.js", "charts.js", "main.js")
_MOST_ACCEPTS: Final = 200
_MOST_STEPS: Final = 400
_MOST_ALIKE: Final = 4
"""Of equal calls in a row, so many are shown one by one."""
_DIGEST_SHOWN: Final = 16
NEEDS_EXTRA: Final = (
    "the page needs jinja2 and plotly: pip install 'tdvfsh[report]' (SVG, '-o FILE.svg', needs nothing)"
)


def page_html(file: TraceFile, compared: Sequence[ComparedRow] = (), measured: Mapping[str, Any] | None = None) -> str:
    """The page of a trace.

    Args:
        file: The trace.
        compared: The same boot under other policies, as far as it was compared.
        measured: What a TD measured to, as 'tdvfsh measure --json' writes it.

    Raises:
        MissingError: The extra is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup

        plotly = (files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8")
    except (ImportError, OSError):
        raise MissingError(NEEDS_EXTRA) from None
    facts = JournalFacts(file)
    failing = failing_step(file.boot, facts.steps)
    steps, left_out = _told_steps(facts.steps)
    accepts = _accept_rows(facts.accepts)
    alike = [row._replace(on_demand=options) for row, options in alike_rows(compared)]
    environment = Environment(
        loader=PackageLoader("tdvfsh.report.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    values = json.dumps(page_values(facts, alike, failing), separators=(",", ":")).replace("<", "\\u003c")
    script = "\n".join(template_text(name) for name in _SCRIPTS)
    return environment.get_template("page.html.j2").render(
        title=_title(file),
        td=facts_line(file),
        made_of=_made_of(file),
        version=file.version,
        outcome=_outcome(file.boot, failing),
        tiles=_tiles(facts),
        shares=_shares(facts),
        shares_label=", ".join(share["title"] for share in _shares(facts)),
        records=file.records,
        steps=_steps(steps),
        steps_left_out=left_out,
        accepts=accepts[:_MOST_ACCEPTS],
        more_accepts=max(0, len(accepts) - _MOST_ACCEPTS),
        compared=[_compared(row) for row in alike],
        measured=None if measured is None else _measured(measured),
        cost=_cost(file.boot),
        css=Markup(template_text("page.css")),
        script=Markup(f"(() => {{\n{script}\n}})();"),
        plotly=Markup(plotly),
        facts=Markup(values),
    )


def _measured(measured: Mapping[str, Any]) -> dict[str, Any]:
    names = [f"RTMR{number}" for number in range(4)]
    registers = [("MRTD", measured["mrtd"]), *zip(names, measured["rtmr"] or [], strict=False)]
    return {
        "lead": f"{PurePath(measured['firmware']).name}, {measured['ended']['why']}",
        "registers": registers,
        "events": [
            {**event, "register": event["register"] or "", "digest": (event["digest"] or "")[:_DIGEST_SHOWN]}
            for event in measured["events"]
        ],
    }


def template_text(name: str) -> str:
    """A file of the templates' folder."""
    return (files("tdvfsh.report.page") / "templates" / name).read_text("utf-8")


def _title(file: TraceFile) -> str:
    td = file.td
    where = f"a {human_size(int(td['memory']))} {'TD' if td.get('td', True) else 'VM'}"
    if file.boot is None:
        return f"The journal of {where}"
    images = file.boot["images"]
    names = [PurePath(image["path"]).name for image in (images["kernel"], *images["initrd"])]
    return f"{' + '.join(names)} in {where}"


def _made_of(file: TraceFile) -> list[tuple[str, str, bool]]:
    """``(name, value, whether it is for a terminal)``: how to make the page again, and of which versions it tells."""
    rows = [("again", join(file.command), True)] if file.command else []
    if file.boot is not None:
        kernel = file.boot["images"]["kernel"]
        if kernel.get("kernel_version"):
            rows.append(("kernel", f"Linux {kernel['kernel_version']}", False))
        if file.boot["images"].get("cmdline"):
            rows.append(("kernel command line", file.boot["images"]["cmdline"], True))
        firmware = file.boot.get("firmware")
        if isinstance(firmware, dict):
            rows.append(("firmware", _firmware_text(firmware), False))
    return rows


def _firmware_text(firmware: Mapping[str, Any]) -> str:
    if not firmware.get("package"):
        return "not known: its map was imported"
    text = f"{firmware['package']} (edk2 {firmware['edk2']}), as the model {firmware['model']} has it"
    return f"{firmware['file']}: {text}" if firmware.get("file") else text


def _outcome(boot: dict[str, Any] | None, failing: StoryStep | None) -> dict[str, Any] | None:
    if boot is None:
        return None
    booted = boot["status"] == "EFI_SUCCESS"
    failure = boot["failure"] or {}
    demand = int(boot["accept"]["on_demand_bytes"])
    how = (
        f"{human_size(demand)} were accepted on demand on the way."
        if demand
        else "Everything fitted into what was accepted at boot."
    )
    headline = "The kernel has left boot services" if booted else f"{boot['status']} at {boot['stage']}"
    return {
        "booted": booted,
        "headline": headline,
        "why": how if booted else failure.get("why", ""),
        "messages": boot.get("notes") or [],
        "wanted": _wanted(failure),
        "cure": (boot.get("cure") or {}).get("text", ""),
        "step": None if failing is None else {"number": failing.number, "call": f"{failing.caller} {failing.service}"},
    }


def _wanted(failure: Mapping[str, Any]) -> str:
    """What the call that failed asked for, beside what there was."""
    asked = failure.get("asked_bytes")
    if not asked:
        return ""
    return (
        f"{failure['service']} asked for {human_size(asked)} in one piece; the largest free piece that it could have "
        f"used was {human_size(failure['largest_free_bytes'])}, and {human_size(failure['unaccepted_bytes'])} were "
        "unaccepted."
    )


def _tiles(facts: JournalFacts) -> list[dict[str, str]]:
    ram = max(facts.ram_bytes, 1)

    def share(size: int) -> str:
        return f"{size * 100 / ram:.1f} % of RAM"

    return [
        {"name": "RAM", "value": human_size(facts.ram_bytes), "note": f"{len(facts.file.ram)} spans"
            if len(facts.file.ram) != 1 else "one span"},
        {"name": "accepted at boot", "value": human_size(facts.boot_bytes), "note": share(facts.boot_bytes)},
        {"name": "accepted on demand", "value": human_size(facts.on_demand_bytes),
         "note": share(facts.on_demand_bytes)},
        {"name": "left to the OS", "value": human_size(facts.left_bytes), "note": share(facts.left_bytes)},
        {"name": "accepting, modelled", "value": human_seconds(facts.accept_ns / 1e9),
         "note": _accepting_note(facts)},
        *_dma_tile(facts),
        {"name": "journal", "value": f"{len(facts.file.records):,}", "note": f"{len(facts.changes):,} map changes"},
    ]  # fmt: skip


def _dma_tile(facts: JournalFacts) -> list[dict[str, str]]:
    again = [event for event in facts.accepts if event.after_dma]
    if not again:
        return []
    took = human_seconds(sum(event.duration_ns for event in again) / 1e9)
    pages = f"{sum(event.calls for event in again):,} pages"
    return [
        {
            "name": "accepted again, after DMA",
            "value": pages,
            "note": f"{took} of it, in 4 KiB pages",
        }
    ]


def _cost(boot: dict[str, Any] | None) -> dict[str, Any] | None:
    """The constants with which the boot was priced; traces of earlier versions do not have them."""
    cost = None if boot is None else boot.get("cost")
    if not isinstance(cost, dict):
        return None
    rows = [
        {
            "name": name,
            **{which: value_text(name, float(constant[which])) for which in ("low", "likely", "high")},
            "what": constant["what"],
            "source": constant["source"],
        }
        for name, constant in cost["constants"].items()
        if name in CONSTANTS
    ]
    return {"name": cost["name"], "summary": cost["summary"], "rows": rows}


def _accepting_note(facts: JournalFacts) -> str:
    """The range of the modelled time, where the boot says it, and the TDCALLs."""
    calls = f"{sum(event.calls for event in facts.accepts):,} TDCALLs"
    if facts.accept_range is None:
        return calls
    low, high = facts.accept_range
    return f"{human_seconds(low)} to {human_seconds(high)}; {calls}"


def _shares(facts: JournalFacts) -> list[dict[str, Any]]:
    parts = (
        ("boot", "accepted at boot", facts.boot_bytes),
        ("demand", "accepted on demand", facts.on_demand_bytes),
        ("left", "left to the OS", facts.left_bytes),
    )
    whole = max(facts.ram_bytes, 1)
    return [
        {"kind": kind, "weight": f"{size * 1000 / whole:.3f}", "title": f"{human_size(size)} {name}"}
        for kind, name, size in parts
        if size
    ]


def _told_steps(steps: Sequence[StoryStep]) -> tuple[list[StoryStep], int]:
    """The steps for the table, and how many it leaves out: accepts in a row are a line of the table below it."""
    told: list[StoryStep] = []
    for (_, _, _, failed), group in groupby(steps, lambda step: (step.caller, step.service, step.what, step.failed)):
        alike = list(group)
        told += alike if failed or len(alike) <= _MOST_ALIKE else [alike[0], alike[-1]]
    failed_ones = [step for step in told[_MOST_STEPS:] if step.failed][-_MOST_STEPS:]
    told = told[:_MOST_STEPS] + failed_ones
    return told, len(steps) - len(told)


def _accept_rows(accepts: Sequence[AcceptEvent]) -> list[dict[str, Any]]:
    """A row for each accept; those that follow each other by one caller for one reason share it."""
    rows = []
    for _, group in groupby(accepts, lambda event: (event.who, event.why, event.status, event.after_dma)):
        alike = list(group)
        rows += [_accept(alike)] if len(alike) > _MOST_ALIKE else [_accept([event]) for event in alike]
    return rows


def _steps(steps: Sequence[StoryStep]) -> list[dict[str, Any]]:
    largest = max((step.size for step in steps if step.start is not None), default=1) or 1
    return [
        {
            "number": step.number,
            "ms": f"{step.time_ns / 1e6:.3f}",
            "caller": step.caller,
            "service": step.service,
            "what": step.what.replace("_", " "),
            "size": human_size(step.size) if step.size else "",
            "share": 0 if step.start is None else max(round(step.size * 100 / largest), 0),
            "start": step.start,
            "end": (step.start or 0) + step.size,
            "where": "" if step.start is None or step.failed else f"{step.start:#x}",
            "status": step.status.removeprefix("EFI_") or "…",
            "failed": step.failed,
        }
        for step in steps
    ]


def _accept(events: Sequence[AcceptEvent]) -> dict[str, Any]:
    """A row of the table: one accept, or several that differ in nothing but place and time."""
    event = events[0]
    if event.after_dma:
        where = "pages shared for DMA"
    elif event.start is None:
        where = "the TD HOB list"
    else:
        low = min(each.start or 0 for each in events)
        high = max((each.start or 0) + each.accepted_bytes for each in events)
        where = f"{low:#x}–{high - 1:#x}" if len(events) == 1 else f"{len(events)} pieces in {low:#x}–{high - 1:#x}"
    return {
        "number": event.number,
        "ms": f"{event.time_ns / 1e6:.3f}",
        "took": human_seconds(sum(each.duration_ns for each in events) / 1e9),
        "who": event.who,
        "why": event.why,
        "where": where,
        "size": "" if event.after_dma else human_size(sum(each.accepted_bytes for each in events)),
        "calls": f"{sum(each.calls for each in events):,}",
        "status": event.status.removeprefix("EFI_"),
        "failed": event.status != "EFI_SUCCESS",
    }


def _compared(row: ComparedRow) -> dict[str, Any]:
    failed = row.status.removeprefix("EFI_") + (f" at {row.stage}" if row.stage != "start" else "")
    return {
        "accept": row.accept,
        "loader": row.loader,
        "on_demand": row.on_demand,
        "booted": row.booted,
        "result": "boots" if row.booted else failed,
        "why": row.why,
        "at_boot": human_size(row.boot_bytes),
        "later": human_size(row.on_demand_bytes) if row.on_demand_bytes else "–",
        "left": human_size(row.left_to_os_bytes) if row.left_to_os_bytes else "–",
        "seconds": cell_text(row.time),
    }
