"""Measurements of a TD as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.engine.firmware.measure import TdMeasurement
from tdvfsh.formats.tcg.event_log import TcgEvent, TcgEventLog
from tdvfsh.formats.tcg.event_words import event_words
from tdvfsh.formats.tcg.registers import RTMRS
from tdvfsh.lazy_typing import Any
from tdvfsh.machine.options import TdOptions
from tdvfsh.measure.depends import ADD_ORDER, depends_on, register_dependencies
from tdvfsh.measure.mrtd import BuildMeasurement
from tdvfsh.report.schema import document
from tdvfsh.report.table import RIGHT, printable, table_lines
from tdvfsh.units import human_size, ram_size

_DIGEST_SHOWN = 16
_REGISTERS = ("MRTD", "RTMR0", "RTMR1", "RTMR2", "RTMR3")


def build_lines(build: BuildMeasurement) -> list[str]:
    """MRTD, and what it is of."""
    return [
        f"MRTD   {build.mrtd.hex()}",
        f"       pages of {human_size(build.added_bytes)} added, {human_size(build.extended_bytes)} measured, "
        f"add order {build.order}",
    ]


def measure_lines(measured: TdMeasurement) -> list[str]:
    """RTMRs, events, and what of them depends on the VMM; MRTD is in :func:`build_lines`."""
    lines = [f"RTMR{number}  {value.hex()}" for number, value in enumerate(measured.rtmrs)]
    lines += ["", *event_lines(measured.log, measured)] if measured.log is not None else []
    lines += ["", "depends on the VMM:", *_dependency_lines(measured)]
    lines += ["", f"run    {printable(measured.why)}"]
    if measured.replay is not None:
        fits = measured.replay.fits
        lines.append("log    replayed: equal to the registers" if fits else f"log    {measured.replay.why}")
    if measured.log_error:
        lines.append(f"log    {printable(measured.log_error)}")
    return [*lines, *(f"note   {note}" for note in measured.notes)]


def event_lines(log: TcgEventLog, measured: TdMeasurement | None = None) -> list[str]:
    """The events as a table; with a run, also who extended the register and when."""
    head = ["#", "register", "type", "digest", "says"]
    rows = [head if measured is None else [*head[:4], "by", "ms", head[4]]]
    waiting: list[list[tuple[str, str]]] = [[] for _ in range(RTMRS)]
    for each in () if measured is None else measured.extends:
        waiting[each.rtmr].append((each.caller, f"{each.now_ns / 1e6:.0f}"))
    for event in log.events:
        digest = "" if event.sha384 is None else f"{event.sha384.hex()[:_DIGEST_SHOWN]}…"
        row = [str(event.number), register_name(event), event.type_name, digest]
        if measured is not None:
            queue = waiting[event.rtmr] if event.rtmr is not None else []
            row += queue.pop(0) if queue else ("", "")
        rows.append([*row, event_words(event)])
    return table_lines(rows, f"{RIGHT}    {RIGHT}" if measured is not None else RIGHT)


def register_name(event: TcgEvent) -> str:
    """The register that an event extends in a TD; ``-`` for none."""
    if event.rtmr is not None:
        return f"RTMR{event.rtmr}"
    return "-"


def _dependency_lines(measured: TdMeasurement) -> list[str]:
    lines = [f"MRTD   {ADD_ORDER}"]
    for number in range(RTMRS):
        name = f"RTMR{number}"
        found = _dependencies(measured, number)
        for what, events in found:
            lines.append(f"{name:<6} {what}; event{'s' * (len(events) > 1)} {', '.join(map(str, events))}")
            name = ""
        if not found:
            lines.append(f"{name:<6} nothing")
    return lines


def _dependencies(measured: TdMeasurement, rtmr: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    events = () if measured.log is None else measured.log.events
    return register_dependencies([event for event in events if event.rtmr == rtmr])


def measure_dict(
    firmware: str, options: TdOptions, build: BuildMeasurement, measured: TdMeasurement | None
) -> dict[str, Any]:
    """A measurement for JSON; what only a run tells is null where there was none."""
    members = {
        "firmware": firmware,
        "td": options.as_dict(),
        "files": "" if measured is None else measured.files,
        "add_order": str(build.order),
        "added_bytes": build.added_bytes,
        "extended_bytes": build.extended_bytes,
        "mrtd": build.mrtd.hex(),
        "rtmr": None if measured is None else [value.hex() for value in measured.rtmrs],
        "events": [] if measured is None or measured.log is None else events_list(measured.log.events),
        "extends": []
        if measured is None
        else [
            {"rtmr": each.rtmr, "digest": each.digest.hex(), "vcpu": each.vcpu, "by": each.caller, "ns": each.now_ns}
            for each in measured.extends
        ],
        "depends_on": {
            "mrtd": [{"what": ADD_ORDER, "events": []}],
            **{
                f"rtmr{number}": [
                    {"what": what, "events": list(events)} for what, events in _dependencies(measured, number)
                ]
                for number in range(RTMRS)
                if measured is not None
            },
        },
        "log": None if measured is None else _log_dict(measured),
        "ended": None if measured is None else _ended_dict(measured),
        "notes": [] if measured is None else list(measured.notes),
    }
    return document("measure", members)


def _ended_dict(measured: TdMeasurement) -> dict[str, Any]:
    return {"ending": measured.ending, "why": measured.why, "reached": measured.reached}


def _log_dict(measured: TdMeasurement) -> dict[str, Any] | None:
    if measured.log_data is None:
        return None
    return {
        "area_bytes": len(measured.log_data),
        "bytes": 0 if measured.log is None else measured.log.size,
        "equal_to_registers": measured.replay is not None and measured.replay.fits,
        "why": measured.log_error or ("" if measured.replay is None else measured.replay.why),
    }


def events_list(events: Sequence[TcgEvent]) -> list[dict[str, Any]]:
    """Events for JSON."""
    return [
        {
            "number": event.number,
            "register": None if event.rtmr is None else f"RTMR{event.rtmr}",
            "mr_index": event.mr_index,
            "event_type": event.event_type,
            "type": event.type_name,
            "digest": None if event.sha384 is None else event.sha384.hex(),
            "data": event.data.hex(),
            "words": event_words(event),
            "depends_on": depends_on(event),
        }
        for event in events
    ]


def summary_line(measured: TdMeasurement) -> str:
    """The TD and what was booted, in a line."""
    options = measured.options
    what = f", {measured.files}" if measured.files else ""
    return f"{measured.firmware} as a TD of {ram_size(options.memory)}, vCPUs: {options.vcpus}{what}"
