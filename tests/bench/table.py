"""The figures as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from tests.bench.measure import BYTES, Figure

_COLUMNS: Final = ("figure", "peer", "ours", "peer's", "ratio", "goal", "")


def as_table(figures: Iterable[Figure]) -> str:
    """A Markdown table, one block of rows under each heading."""
    rows: list[tuple[str, ...]] = []
    group = None
    for figure in figures:
        if figure.group != group:
            group = figure.group
            rows.append((f"**{group}**", *[""] * (len(_COLUMNS) - 1)))
        rows.append(_row(figure))
    widths = [max(len(row[column]) for row in (_COLUMNS, *rows)) for column in range(len(_COLUMNS))]
    lines = [_line(_COLUMNS, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    return "\n".join(lines + [_line(row, widths) for row in rows])


def as_json(figures: Iterable[Figure]) -> str:
    """A list of objects; times in seconds, sizes in bytes."""
    return json.dumps(
        [
            {
                "group": figure.group,
                "figure": figure.name,
                "peer": figure.peer,
                "ours": figure.ours,
                "theirs": figure.theirs,
                "unit": figure.unit,
                "ratio": figure.ratio,
                "goal": str(figure.goal) if figure.goal else None,
                "met": figure.met,
                "at_full_speed": figure.at_full_speed,
                "met_at_full_speed": figure.met_at_full_speed,
                "note": figure.note,
                "skipped": figure.skipped,
            }
            for figure in figures
        ],
        indent=1,
        ensure_ascii=False,
    )


def verdict(figure: Figure) -> str:
    """``met``, or how far, or why not."""
    if figure.skipped:
        return f"skipped: {figure.skipped}"
    words = {True: "met", False: "MISSED", None: ""}[figure.met]
    if figure.met is False and figure.at_full_speed is not None:
        told = f"{quantity(figure.at_full_speed, figure.unit)} with this machine at its fastest"
        words = f"met: {told}" if figure.met_at_full_speed else f"MISSED: {told}"
    return "; ".join(part for part in (words, figure.note) if part)


def quantity(value: float | None, unit: str) -> str:
    """A time or a size with three digits."""
    if value is None:
        return ""
    if unit == BYTES:
        return f"{value / (1 << 20):.1f} MiB"
    for factor, name in ((1, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {name}"
    return f"{value * 1e6:.3g} µs"


def _row(figure: Figure) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
    return (
        figure.name,
        figure.peer,
        quantity(figure.ours, figure.unit),
        quantity(figure.theirs, figure.unit),
        ratio,
        str(figure.goal) if figure.goal else "",
        verdict(figure),
    )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
