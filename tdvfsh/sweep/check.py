"""Two result sets side by side, for CI: what no longer boots, what boots now, what has become dearer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.sweep.axes import AXES, AXIS_NAMES, default_point
from tdvfsh.sweep.row import BOOTS, Cell, Row
from tdvfsh.units import format_size, human_size

WORSE: Final = "worse"
BETTER: Final = "better"
GONE: Final = "gone"
NEW: Final = "new"

_SIZES: Final = frozenset(axis.name for axis in AXES if axis.is_size)

Place = tuple[Cell, ...]
"""What makes two rows comparable: the image's name and the TD. What the image is made of may differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One scenario that ends otherwise than in the baseline; ``kind`` is worse, better, gone or new."""

    kind: str
    line: str


def compare_results(baseline: Collection[Row], results: Collection[Row]) -> list[Difference]:
    """What has changed, the worst first.

    Worse is what booted in the baseline and does not now, or what is not among the results at all. A scenario that
    fails as before, though at another stage, is not a difference.
    """
    before = {_place(row): row for row in baseline}
    after = {_place(row): row for row in results}
    varied = _varied([*before, *after])
    found = list(_differences(before, after, varied))
    order = (WORSE, GONE, BETTER, NEW)
    return sorted(found, key=lambda difference: order.index(difference.kind))


def is_worse(differences: Iterable[Difference]) -> bool:
    """Whether CI should stop."""
    return any(difference.kind in (WORSE, GONE) for difference in differences)


def _differences(before: dict[Place, Row], after: dict[Place, Row], varied: Sequence[int]) -> Iterator[Difference]:
    for place, old in before.items():
        new = after.get(place)
        where = _where(place, varied)
        if new is None:
            yield Difference(GONE, f"{where}: in the baseline only")
        elif old["outcome"] == BOOTS and new["outcome"] != BOOTS:
            yield Difference(WORSE, f"{where}: no longer boots: {ending(new)}")
        elif old["outcome"] != BOOTS and new["outcome"] == BOOTS:
            yield Difference(BETTER, f"{where}: boots now, did not before: {ending(old)}")
    for place in after.keys() - before.keys():
        yield Difference(NEW, f"{_where(place, varied)}: not in the baseline; {ending(after[place])}")


def ending(row: Row) -> str:
    """How a scenario ended, in a line."""
    if row["outcome"] == BOOTS:
        return "boots"
    if row["status"] is None:
        return f"{row['outcome']} ({row['why']})"
    asked, free = row["asked_bytes"], row["largest_free_bytes"]
    numbers = ""
    if isinstance(asked, int) and isinstance(free, int) and asked:
        numbers = f": needs {human_size(asked)}, has {human_size(free)} in one piece"
    return f"{str(row['status']).removeprefix('EFI_')} at {row['stage']}{numbers}"


def _place(row: Row) -> Place:
    return (row["image"], *(row[name] for name in AXIS_NAMES))


def _varied(places: Sequence[Place]) -> list[int]:
    """Positions of the axes worth naming: those that vary, and those that are not as usual."""
    usual = (None, *default_point())
    return [position for position in range(1, len(usual)) if {place[position] for place in places} - {usual[position]}]


def _where(place: Place, varied: Sequence[int]) -> str:
    words = [f"{AXIS_NAMES[at - 1].replace('_', '-')} {_shown(AXIS_NAMES[at - 1], place[at])}" for at in varied]
    return ", ".join([str(place[0]), *words])


def _shown(axis: str, value: Cell) -> str:
    return format_size(value) if axis in _SIZES and isinstance(value, int) else str(value)
