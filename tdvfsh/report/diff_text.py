"""A difference of two moments, in readable form and for ``parse``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.machine.difference import GCD, MEMORY_MAP, SEPT, SHARED
from tdvfsh.report.sfo import sfo_header, sfo_row
from tdvfsh.report.span import span
from tdvfsh.report.table import printable, table_lines
from tdvfsh.report.td_text import modelled_time
from tdvfsh.units import human_size

if TYPE_CHECKING:
    from tdvfsh.machine.difference import HandleChange, MachineDifference, RangeChange
    from tdvfsh.uefi.guids import Guid

Variables = Mapping[str, str]
Namer = Callable[["Guid"], str]

_TITLES: Final = {MEMORY_MAP: "Memory map", GCD: "GCD map", SEPT: "Secure EPT", SHARED: "Shared pages"}


def diff_lines(found: MachineDifference | None, before: Variables, after: Variables, name_of: Namer) -> list[str]:
    """The difference in sections, those without a change left out.

    Args:
        found: The machine's difference; None where there was no machine at one of the moments.
        before: The shell's variables then.
        after: The shell's variables now.
        name_of: Returns a protocol's name.
    """
    lines: list[str] = []
    if found is not None:
        lines += [f"{name}: {was} -> {now}" for name, was, now in found.options]
        for map_name, title in _TITLES.items():
            rows = [_range_row(change) for change in found.ranges if change.map_name == map_name]
            if rows:
                key = f" (key {found.map_key[0]} -> {found.map_key[1]})" if map_name == MEMORY_MAP else ""
                lines += [f"{title}{key}", *table_lines(rows, "<>", indent="  ")]
        if found.handles:
            lines += ["Handles", *(f"  {text}" for change in found.handles for text in _handle_texts(change, name_of))]
    variables = list(_variable_texts(before, after))
    if variables:
        lines += ["Variables", *(f"  {text}" for text in variables)]
    if found is not None:
        lines += _account(found)
    return lines or ["Nothing has changed."]


def diff_sfo(found: MachineDifference | None, before: Variables, after: Variables, name_of: Namer) -> list[str]:
    """The same as Standard-Format Output; what is not there is an empty value."""
    lines = [sfo_header("diff")]
    if found is not None:
        lines += [sfo_row("Option", *change) for change in found.options]
        for change in found.ranges:
            bounds = f"{change.start:X}", f"{change.end - 1:X}", change.end - change.start
            lines.append(sfo_row(change.map_name, *bounds, change.before or "", change.after or ""))
        for handle in found.handles:
            was, now = (",".join(map(name_of, protocols)) for protocols in (handle.before, handle.after))
            lines.append(sfo_row("Handle", f"{handle.handle:X}", was, now))
    for name in _changed(before, after):
        lines.append(sfo_row("Variable", printable(name), before.get(name, ""), after.get(name, "")))
    if found is not None:
        counts = found.time_ns, found.accepted_bytes, found.tdcalls, found.records
        lines.append(sfo_row("Account", *found.map_key, *counts))
    return lines


def _range_row(change: RangeChange) -> tuple[str, str, str]:
    shown = span(change.start, change.end)
    if change.before is None:
        what = f"new: {change.after}"
    elif change.after is None:
        what = f"gone: {change.before}"
    else:
        what = f"{change.before} -> {change.after}" + (" (accepted)" if change.accepted else "")
    return shown, human_size(change.end - change.start), what


def _handle_texts(change: HandleChange, name_of: Namer) -> Iterable[str]:
    names = ", ".join(map(name_of, change.after or change.before))
    if not change.before:
        yield f"+ {change.handle:#x}  {names}"
    elif not change.after:
        yield f"- {change.handle:#x}  {names}"
    else:
        for protocol in change.after:
            if protocol not in change.before:
                yield f"+ {change.handle:#x}  {name_of(protocol)}"
        for protocol in change.before:
            if protocol not in change.after:
                yield f"- {change.handle:#x}  {name_of(protocol)}"


def _variable_texts(before: Variables, after: Variables) -> Iterable[str]:
    for name in _changed(before, after):
        was, now = before.get(name), after.get(name)
        if was is None:
            yield printable(f"+ {name} = {now}")
        elif now is None:
            yield printable(f"- {name} = {was}")
        else:
            yield printable(f"  {name}: {was} -> {now}")


def _changed(before: Variables, after: Variables) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _account(found: MachineDifference) -> list[str]:
    parts = []
    if found.time_ns:
        parts.append(f"{_signed(found.time_ns, modelled_time)} modelled")
    if found.accepted_bytes:
        parts.append(f"{_signed(found.accepted_bytes, human_size)} accepted")
    if found.tdcalls:
        parts.append(f"{_signed(found.tdcalls, str)} TDCALLs")
    if found.records:
        parts.append(f"{_signed(found.records, str)} records in the journal")
    lines = ["; ".join(parts)] if parts else []
    if found.at_runtime[0] != found.at_runtime[1]:
        lines.append("Boot services: " + ("gone" if found.at_runtime[1] else "back"))
    return lines


def _signed(value: int, form: Callable[[int], str]) -> str:
    return ("-" if value < 0 else "+") + form(abs(value))
