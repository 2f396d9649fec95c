"""Rows arranged for plotting: one panel for each combination of what is on no axis of the plot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

from tdvfsh.accept.boot_time import BELOW_4G, EAGER, parse_boot_accept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.report.modelled_text import ModelledSeconds, range_text
from tdvfsh.sweep.axes import AXIS_NAMES
from tdvfsh.sweep.row import BOOTS, FAILS, Cell, Row
from tdvfsh.units import format_size

MEMORY: Final = "memory"
ACCEPT: Final = "accept"
ON_DEMAND: Final = "on_demand"
NO_RESULT: Final = "-"


@dataclass(frozen=True)
class SuccessPanel:
    """Success over memory (rows, ascending) and accept (columns, from least to most accepted).

    Attributes:
        title: What the panel is about.
        memories: Bytes of RAM.
        accepts: Policies as results name them.
        cells: For each memory and accept the outcome, or ``-`` where there is none.
        notes: The same, in words: why, or what it costs.
    """

    title: str
    memories: tuple[int, ...]
    accepts: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    notes: tuple[tuple[str, ...], ...]


Run = tuple[tuple[int, ModelledSeconds], ...]
"""Points ``(bytes accepted at boot, modelled time)``."""


@dataclass(frozen=True)
class TimePanel:
    """Modelled seconds until the operating system over bytes accepted at boot: a line for each option.

    ``lines`` maps ``on_demand``, in the options' usual order, to runs of boots that succeed one after the other;
    between two runs are scenarios that fail. Sizes ascend.
    """

    title: str
    lines: dict[str, tuple[Run, ...]]


def success_panels(rows: Collection[Row]) -> list[SuccessPanel]:
    """One panel for each image, loader, option and whatever else varies."""
    panels = []
    for title, members in _groups(rows, (MEMORY, ACCEPT)):
        at = {(row[MEMORY], row[ACCEPT]): row for row in members}
        memories = tuple(sorted({_int(row[MEMORY]) for row in members}))
        accepts = tuple(sorted({str(row[ACCEPT]) for row in members}, key=_accept_order))
        found = [[at.get((memory, accept)) for accept in accepts] for memory in memories]
        panels.append(
            SuccessPanel(
                title,
                memories,
                accepts,
                tuple(tuple(NO_RESULT if row is None else str(row["outcome"]) for row in line) for line in found),
                tuple(tuple("" if row is None else _note(row) for row in line) for line in found),
            )
        )
    return panels


def time_panels(rows: Collection[Row]) -> list[TimePanel]:
    """One panel for each image, loader, memory and whatever else varies but the option."""
    panels = []
    for title, members in _groups(rows, (ACCEPT, ON_DEMAND)):
        lines = {
            option: runs
            for option in ON_DEMAND_NAMES
            if (runs := _runs([row for row in members if row[ON_DEMAND] == option]))
        }
        if lines:
            panels.append(TimePanel(title, lines))
    return panels


def _runs(rows: Collection[Row]) -> tuple[Run, ...]:
    ran = (row for row in rows if row["outcome"] in (BOOTS, FAILS))
    points = {(_int(row["boot_bytes"]), total_time(row), row["outcome"] == BOOTS) for row in ran}
    runs = groupby(sorted(points), key=lambda point: point[2])
    return tuple(tuple((size, time) for size, time, _ in run) for boots, run in runs if boots)


_SECONDS: Final = ("boot_accept_seconds", "on_demand_accept_seconds", "dma_accept_seconds")


def total_seconds(row: Row) -> float:
    """Likely seconds of all accepting until the operating system."""
    return sum(_float(row.get(name)) for name in _SECONDS)


def total_time(row: Row) -> ModelledSeconds:
    """Modelled time of all accepting until the operating system."""
    return ModelledSeconds(
        total_seconds(row),
        _float(row.get("accept_low_seconds")),
        _float(row.get("accept_high_seconds")),
        bool(row.get("placeholder")),
        bool(row.get("extrapolated")),
    )


def _groups(rows: Collection[Row], plotted: Sequence[str]) -> list[tuple[str, list[Row]]]:
    """Rows by everything that is not plotted, with a title of what differs between the groups."""
    apart = [name for name in ("image", *AXIS_NAMES) if name not in plotted]
    varied = [name for name in apart if len({row[name] for row in rows}) > 1 or name in ("image", "loader")]
    groups: dict[tuple[Cell, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in apart), []).append(row)
    return [(_title(members[0], varied), members) for members in groups.values()]


def _title(row: Row, varied: Sequence[str]) -> str:
    return ", ".join(_labelled(name, row[name]) for name in varied)


def _labelled(name: str, value: Cell) -> str:
    if name in ("image", "loader"):
        return str(value)
    shown = format_size(value) if isinstance(value, int) and name in (MEMORY, "host_page_size") else value
    return f"{name.replace('_', '-')} {shown}"


def _note(row: Row) -> str:
    if row["outcome"] == BOOTS:
        return f"boots, modelled {range_text(total_time(row))}"
    if row["outcome"] == FAILS:
        return f"{str(row['status']).removeprefix('EFI_')} at {row['stage']}"
    return str(row["why"])


def _accept_order(accept: str) -> tuple[int, int, str]:
    policy = parse_boot_accept(accept)
    if policy.size is not None and not policy.add_images:
        return 0, policy.size, ""
    return {BELOW_4G: 2, EAGER: 3}.get(accept, 1), policy.size or 0, accept


def _int(value: Cell) -> int:
    assert isinstance(value, int)
    return value


def _float(value: Cell) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
