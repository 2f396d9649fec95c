"""The page: one HTML file with everything in it, for any browser, offline.

Needs jinja2 and plotly, from the ``report`` extra.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import PurePath
from typing import Any, Final

from tdvfsh.errors import MissingError
from tdvfsh.history.accept_events import AcceptEvent
from tdvfsh.history.boot_story import StoryStep
from tdvfsh.history.facts import JournalFacts
from tdvfsh.report.boots.compare_text import ComparedRow, alike_rows
from tdvfsh.report.modelled_text import cell_text
from tdvfsh.report.page_data import facts_line, page_values
from tdvfsh.td.cost import CONSTANTS
from tdvfsh.td.cost.constants import value_text
from tdvfsh.trace.file import TraceFile
from tdvfsh.units import human_seconds, human_size

_SCRIPTS: Final = ("painted.js", "map.js", "moment.js", "journal.js", "charts.js", "main.js")
_MOST_ACCEPTS: Final = 200
_MOST_STEPS: Final = 400
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
    alike = [row._replace(on_demand=options) for row, options in alike_rows(compared)]
    environment = Environment(
        loader=PackageLoader("tdvfsh.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    values = json.dumps(page_values(facts, alike), separators=(",", ":")).replace("<", "\\u003c")
    script = "\n".join(template_text(name) for name in _SCRIPTS)
    return environment.get_template("page.html.j2").render(
        title=_title(file),
        td=facts_line(file),
        version=file.version,
        outcome=_outcome(file.boot),
        tiles=_tiles(facts),
        shares=_shares(facts),
        shares_label=", ".join(share["title"] for share in _shares(facts)),
        records=file.records,
        steps=_steps(facts.steps[:_MOST_STEPS]),
        accepts=[_accept(event) for event in facts.accepts[:_MOST_ACCEPTS]],
        more_accepts=max(0, len(facts.accepts) - _MOST_ACCEPTS),
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
    return (files("tdvfsh.report") / "templates" / name).read_text("utf-8")


def _title(file: TraceFile) -> str:
    td = file.td
    where = f"a {human_size(int(td['memory']))} {'TD' if td.get('td', True) else 'VM'}"
    if file.boot is None:
        return f"The journal of {where}"
    images = file.boot["images"]
    names = [PurePath(image["path"]).name for image in (images["kernel"], *images["initrd"])]
    return f"{' + '.join(names)} in {where}"


def _outcome(boot: dict[str, Any] | None) -> dict[str, Any] | None:
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
    }


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


def _accept(event: AcceptEvent) -> dict[str, Any]:
    if event.after_dma:
        where = "pages shared for DMA"
    elif event.start is None:
        where = "the TD HOB list"
    else:
        where = f"{event.start:#x}–{event.start + event.accepted_bytes - 1:#x}"
    return {
        "number": event.number,
        "ms": f"{event.time_ns / 1e6:.3f}",
        "took": human_seconds(event.duration_ns / 1e9),
        "who": event.who,
        "why": event.why,
        "where": where,
        "size": "" if event.after_dma else human_size(event.accepted_bytes),
        "calls": f"{event.calls:,}",
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
