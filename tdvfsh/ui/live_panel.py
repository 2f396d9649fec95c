"""The upper part of the live view: whose memory is whose, what was accepted, and the map or the last calls."""

from __future__ import annotations

from tdvfsh.lazy_typing import Final
from tdvfsh.machine.machine import Machine
from tdvfsh.report.map_plot import mark_of, plot_lines
from tdvfsh.report.trace_text import trace_lines
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.ui.toolbar import Fragment, memory_bar, memory_shares
from tdvfsh.units import human_seconds, human_size

PLOT: Final = "map"
TYPES: Final = "types"
CALLS: Final = "calls"
BAR: Final = "bar"
MODES: Final = (PLOT, TYPES, CALLS, BAR)

_STYLES: Final = {
    EfiMemoryType.EfiConventionalMemory: "class:map.free",
    EfiMemoryType.EfiUnacceptedMemoryType: "class:map.unaccepted",
    EfiMemoryType.EfiLoaderCode: "class:map.loader",
    EfiMemoryType.EfiLoaderData: "class:map.loader",
    EfiMemoryType.EfiBootServicesCode: "class:map.boot",
    EfiMemoryType.EfiBootServicesData: "class:map.boot",
    EfiMemoryType.EfiRuntimeServicesCode: "class:map.runtime",
    EfiMemoryType.EfiRuntimeServicesData: "class:map.runtime",
    EfiMemoryType.EfiACPIReclaimMemory: "class:map.acpi",
    EfiMemoryType.EfiACPIMemoryNVS: "class:map.acpi",
}
_ADDRESS: Final = 14  # columns in front of a row's cells
_ROOM_LOST: Final = 3  # lines of a plot that are not rows: scale, rest, the span above 4 GiB
Lines = list[list[Fragment]]


def panel_lines(machine: Machine | None, last_error: int, width: int, height: int, mode: str, *, blocks: bool) -> Lines:
    """At most ``height`` lines of styled text.

    Args:
        machine: The machine, or None where there is none.
        last_error: ``%lasterror%``.
        width: Columns.
        height: Lines.
        mode: One of :data:`MODES`.
        blocks: Whether block characters can be shown.
    """
    shares = memory_shares(machine)
    if machine is None or shares is None:
        return [[("", " no machine")]][:height]
    lines: Lines = [
        [("", " "), *memory_bar(shares, max(3, width - 2), blocks=blocks)],
        counters(machine, last_error, width),
    ]
    room = height - len(lines)
    if mode != BAR and room > 1:
        lines += _body(machine, width, room, mode, blocks=blocks)
    return lines[:height]


def counters(machine: Machine, last_error: int, width: int) -> list[Fragment]:
    """What was accepted and what it cost; as much as fits, the most telling first."""
    td = machine.td
    later = td.accepted_bytes - machine.boot_bytes
    error = f"lasterror 0x{last_error:X}"
    texts = [
        f" {human_size(machine.boot_bytes)} at boot + {human_size(later)} on demand",
        f"{human_size(td.unaccepted_bytes)} unaccepted of {human_size(td.ram.memory)}",
        error,
        f"{td.tdcall.calls:,} TDCALLs",
        f"modelled {human_seconds(td.spent.seconds)}",
        f"{len(machine.trace):,} calls",
    ]
    shown: list[Fragment] = []
    left = width
    for text in texts:
        joint = " | " if shown else ""
        if len(joint) + len(text) > left:
            continue
        left -= len(joint) + len(text)
        shown += [("", joint), ("class:toolbar.error" if text == error and last_error else "", text)]
    return shown


def _body(machine: Machine, width: int, room: int, mode: str, *, blocks: bool) -> Lines:
    if mode == CALLS:
        records = machine.trace.records[-(room - 1) :]
        return [[("", line[:width])] for line in trace_lines(machine.trace, records, tree=True)]
    descriptors = machine.services.memory_map_view().descriptors
    ram = [(span.start, span.end) for span in machine.td.ram.spans]
    lines = plot_lines(descriptors, ram, width - 1, blocks=blocks, rows=max(1, room - _ROOM_LOST))
    split = lines.index("")
    if mode == TYPES:
        return [_coloured(line, 0, 4, blocks=blocks) for line in lines[split + 1 :]]
    return [_coloured(line, _ADDRESS, len(line), blocks=blocks) for line in lines[:split]]


def _coloured(line: str, start: int, end: int, *, blocks: bool) -> list[Fragment]:
    """Set the style of each mark in ``line[start:end]`` to its type's; sentences keep theirs."""
    styles = {mark_of(kind, blocks=blocks): style for kind, style in _STYLES.items()}
    marks = line[start:end]
    if " of " in marks or " a cell" in marks:
        return [("class:map.note", line)]
    fragments: list[Fragment] = [("class:map.note", line[:start])]
    for character in marks:
        style = styles.get(character, "")
        if fragments[-1][0] == style and len(fragments) > 1:
            fragments[-1] = (style, fragments[-1][1] + character)
        else:
            fragments.append((style, character))
    return [*fragments, ("", line[end:])]
