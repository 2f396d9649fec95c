"""Running one scenario, and the row that is its result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.boots.started import StartedMachines
from tdvfsh.errors import FormatError, UsageError
from tdvfsh.loaders.files import BootFiles
from tdvfsh.sweep.axes import AXIS_NAMES, options_at
from tdvfsh.sweep.facts import ImageFacts, boot_files
from tdvfsh.sweep.scenario import Scenario

BOOTS: Final = "boots"
FAILS: Final = "fails"
NOT_STARTED: Final = "not started"
ERROR: Final = "error"

RESULT_COLUMNS: Final = (
    "outcome", "status", "stage", "boot_bytes", "on_demand_bytes", "left_to_os_bytes", "lost_bytes", "calls",
    "pages_4k", "pages_2m", "boot_accept_seconds", "on_demand_accept_seconds", "dma_accept_seconds",
    "accept_low_seconds", "accept_high_seconds", "placeholder", "extrapolated",
    "kernel_start", "initrd_start",
    "failed_service", "asked_bytes", "largest_free_bytes", "unaccepted_bytes", "why",
)  # fmt: skip
COLUMNS: Final = ("key", "image", *AXIS_NAMES, *RESULT_COLUMNS)
"""Of a row, in order. Sizes and addresses in bytes, times in modelled seconds, likely ones where nothing else is said;
``placeholder`` and ``extrapolated`` are 0 or 1; what does not apply is null."""

Cell = int | float | str | bool | None
Row = dict[str, Cell]
"""A value for each of :data:`COLUMNS`."""


TEXTS: Final = frozenset(("key", "image", "outcome", "status", "stage", "failed_service", "why"))
SECONDS: Final = frozenset(name for name in RESULT_COLUMNS if name.endswith("_seconds"))
_ALWAYS: Final = frozenset(("key", "image", "outcome", *AXIS_NAMES))


def checked_row(data: object, line: str, path: str) -> Row:
    """A row that a file holds.

    Args:
        data: The JSON value of one line.
        line: What to call the line in messages.
        path: The file.

    Raises:
        FormatError: It is not the result of a sweep; the message names line and column.
    """
    if not isinstance(data, dict) or data.keys() != set(COLUMNS):
        raise FormatError(path, f"{line}: not a result of a sweep")
    for name, value in data.items():
        if value is None and name not in _ALWAYS:
            continue
        if name in TEXTS:
            right, wanted = isinstance(value, str), "a text"
        elif name in SECONDS:
            right, wanted = isinstance(value, (int, float)) and not isinstance(value, bool), "a number"
        elif name in RESULT_COLUMNS:
            right, wanted = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        else:
            right, wanted = isinstance(value, (str, int)), "a text or a whole number"
        if not right:
            raise FormatError(path, f"{line}: {name} is not {wanted}")
    return data


def run_batch(images: Mapping[int, ImageFacts], scenarios: Sequence[Scenario]) -> list[str]:
    """Boot each scenario; one line of JSON for each, in their order.

    This is what a worker does: all it needs comes with the call.
    """
    machines = StartedMachines()
    return [row_line(run_scenario(images[scenario.image], scenario, machines)) for scenario in scenarios]


def run_scenario(facts: ImageFacts, scenario: Scenario, machines: StartedMachines) -> Row:
    """Boot one scenario. Whatever goes wrong with it becomes its row."""
    row: Row = dict.fromkeys(COLUMNS)
    row.update({"key": scenario.key, "image": facts.name, **dict(zip(AXIS_NAMES, scenario.point, strict=True))})
    try:
        row.update(_outcome(machines.boot(options_at(scenario.point), _files(facts))))
    except UsageError as error:
        row.update(outcome=NOT_STARTED, why=str(error))
    except Exception as error:  # one scenario must not end a sweep of thousands
        row.update(outcome=ERROR, why=f"{type(error).__name__}: {error}")
    return row


def row_line(row: Row) -> str:
    """A row as a line of JSON, without its end of line; equal rows make equal bytes."""
    return json.dumps(row, separators=(",", ":"))


@lru_cache(maxsize=32)
def _files(facts: ImageFacts) -> BootFiles:
    return boot_files(facts)


def _outcome(result: BootResult) -> Row:
    accepted, failure = result.machine.boot_accept, result.failure
    time = result.accept_time
    low, high = time.range_seconds
    return {
        "outcome": BOOTS if result.booted else FAILS,
        "status": result.status.name,
        "stage": result.stage,
        "boot_bytes": result.boot_bytes,
        "on_demand_bytes": result.on_demand_bytes,
        "left_to_os_bytes": result.left_to_os_bytes,
        "lost_bytes": result.lost_bytes,
        "calls": result.machine.td.tdcall.calls,
        "pages_4k": (accepted.outcome.pages_4k if accepted else 0) + result.on_demand_pages("pages_4k"),
        "pages_2m": (accepted.outcome.pages_2m if accepted else 0) + result.on_demand_pages("pages_2m"),
        "boot_accept_seconds": result.boot_accept_seconds,
        "on_demand_accept_seconds": result.on_demand_seconds,
        "dma_accept_seconds": result.dma_seconds,
        "accept_low_seconds": low,
        "accept_high_seconds": high,
        "placeholder": int(time.rests_on_placeholder),
        "extrapolated": int(time.is_extrapolated),
        "kernel_start": _start(result, "kernel"),
        "initrd_start": _start(result, "initrd"),
        "failed_service": failure.service if failure else None,
        "asked_bytes": failure.asked_bytes if failure else None,
        "largest_free_bytes": failure.largest_free_bytes if failure else None,
        "unaccepted_bytes": failure.unaccepted_bytes if failure else None,
        "why": failure.why if failure else None,
    }


def _start(result: BootResult, what: str) -> int | None:
    return next((entry.start for entry in reversed(result.placements) if entry.what == what and not entry.freed), None)
