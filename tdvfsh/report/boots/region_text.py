"""A plot in plain text of where each option boots."""

from __future__ import annotations

from itertools import groupby

from tdvfsh.boots.region import BOOTED, NOT_STARTED, OVER_INITRD, Region
from tdvfsh.lazy_typing import Final
from tdvfsh.report.schema import document
from tdvfsh.units import human_size

_MARKS: Final = {
    BOOTED: ("#", "boots"),
    NOT_STARTED: (" ", "the firmware does not start"),
    "fetch_blobs": ("b", "no room for the blobs"),
    "load_image": ("l", "LoadImage fails"),
    "start_image": ("s", "the image cannot be started"),
    "load_kernel": ("k", "no buffer for the kernel"),
    "load_initrd": ("i", "no room for the initrd"),
}
_OTHER: Final = ("x", "fails elsewhere")
_TICK: Final = 10  # columns


def region_lines(found: Region) -> list[str]:
    """One row for each option, one column for each size, a ruler and a legend."""
    width = max(len(name) for name, _ in found.rows)
    what = "initrd size" if found.over == OVER_INITRD else "accepted at boot"
    step = found.sizes[1] - found.sizes[0] if len(found.sizes) > 1 else 0
    lines = [f"{what}, {human_size(step)} a column"]
    labels, marks = "", ""
    for column in range(0, len(found.sizes), _TICK):
        labels += f"{human_size(found.sizes[column]):<{_TICK}}"
        marks += "|".ljust(_TICK, ".")
    lines.append(f"{'':<{width}}  {labels.rstrip()}")
    lines.append(f"{'':<{width}}  {marks[: len(found.sizes)]}")
    for name, outcomes in found.rows:
        lines.append(f"{name:<{width}}  {''.join(_mark(outcome)[0] for outcome in outcomes)}".rstrip())
    seen = {outcome for _, outcomes in found.rows for outcome in outcomes}
    legend = [mark for outcome, mark in _MARKS.items() if outcome in seen and mark[0] != " "]
    legend += [_OTHER] if seen - _MARKS.keys() else []
    return [*lines, f"{'':<{width}}  " + ", ".join(f"{mark} {meaning}" for mark, meaning in legend)]


def region_dict(found: Region) -> dict[str, object]:
    """Plain values: for each option, runs of sizes with one outcome."""
    members = {
        "over": found.over,
        "sizes": list(found.sizes),
        "options": {name: _runs(found.sizes, outcomes) for name, outcomes in found.rows},
    }
    return document("plot", members)


def _runs(sizes: tuple[int, ...], outcomes: tuple[str, ...]) -> list[dict[str, object]]:
    runs: list[dict[str, object]] = []
    for outcome, group in groupby(zip(sizes, outcomes, strict=True), key=lambda pair: pair[1]):
        members = [size for size, _ in group]
        runs.append({"outcome": outcome, "first": members[0], "last": members[-1]})
    return runs


def _mark(outcome: str) -> tuple[str, str]:
    return _MARKS.get(outcome, _OTHER)
