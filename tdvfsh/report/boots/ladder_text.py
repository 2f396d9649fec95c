"""The ladder of a boot in readable form, for ``parse`` and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tdvfsh.boots.ladder import Rung
from tdvfsh.lazy_typing import TYPE_CHECKING, Any
from tdvfsh.machine.start import start_of
from tdvfsh.report.schema import document
from tdvfsh.report.sfo import sfo_header, sfo_row
from tdvfsh.report.table import table_lines
from tdvfsh.units import human_size

if TYPE_CHECKING:
    from tdvfsh.machine.options import TdOptions

_NEVER = "never"


def ladder_heading(options: TdOptions, cmdline: str) -> str:
    """What one of several ladders is of."""
    firmware = start_of(options).firmware_name
    return f"{options.loader}, firmware {firmware}, on demand: {options.on_demand}, command line '{cmdline}'"


def ladder_lines(rungs: Sequence[Rung]) -> list[str]:
    """A table: stage, smallest accepted size, and what it means."""
    rows = [("stage", "accepted", "")]
    rows += [(rung.stage, _size(rung.accepted), rung.meaning) for rung in rungs]
    lines = table_lines(rows, " >")
    lines += [
        f"Not monotone: {rung.stage} is also reached with {human_size(rung.below)}, but not with every size between."
        for rung in rungs
        if rung.below is not None
    ]
    accepted = {rung.stage: rung.accepted for rung in rungs}
    boots, initrd = accepted.get("boots"), accepted.get("initrd")
    if boots is not None and initrd is not None and boots < initrd:
        lines.append(f"From {human_size(boots)} up to {human_size(initrd)} it boots without its initrd.")
    return lines


def ladder_sfo(rungs: Sequence[Rung]) -> list[str]:
    """Standard-Format Output: stage, bytes (empty for never), meaning, and a smaller size that reaches it too."""
    rows = [sfo_row("Rung", rung.stage, _bytes(rung.accepted), rung.meaning, _bytes(rung.below)) for rung in rungs]
    return [sfo_header("ladder"), *rows]


def ladder_dict(ladders: Iterable[tuple[TdOptions, Sequence[Rung]]]) -> dict[str, Any]:
    """Ladders and the TDs they are of, for JSON."""
    of_each = [
        {"td": start_of(options).settled(options).as_dict(), "rungs": ladder_dicts(rungs)} for options, rungs in ladders
    ]
    return document("ladder", {"ladders": of_each})


def ladder_dicts(rungs: Sequence[Rung]) -> list[dict[str, object]]:
    """Plain values: ``accepted_bytes`` is None where no size reaches the stage."""
    return [
        {
            "stage": rung.stage,
            "meaning": rung.meaning,
            "accepted_bytes": rung.accepted,
            "also_reached_at_bytes": rung.below,
        }
        for rung in rungs
    ]


def _size(size: int | None) -> str:
    return _NEVER if size is None else human_size(size)


def _bytes(size: int | None) -> str:
    return "" if size is None else str(size)
