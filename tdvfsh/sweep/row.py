"""Running one scenario, and the row that is its result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.boots.started import StartedMachines
from tdvfsh.errors import FormatError, UsageError
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.sweep.axes import AXIS_NAMES, Point, axis_index, names_file, options_at
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
_ON_DEMAND: Final = axis_index("on_demand")
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
_machines: Final = StartedMachines()
"""Of this process: batches that begin with the same firmware follow each other. None of a TD that names a file."""
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
    files = {image: _files(facts) for image, facts in images.items()}
    machines = StartedMachines() if any(names_file(scenario.point) for scenario in scenarios) else _machines
    alike: tuple[object, Row] | None = None
    lines = []
    for scenario in scenarios:
        point = scenario.point
        told: Row = {
            "key": scenario.key,
            "image": images[scenario.image].name,
            **dict(zip(AXIS_NAMES, point, strict=True)),
        }
        but_option = scenario.image, point[:_ON_DEMAND], point[_ON_DEMAND + 1 :]
        if alike is not None and alike[0] == but_option:
            row = alike[1] | told
        else:
            row, same = run_scenario(told, point, files[scenario.image], machines)
            alike = (but_option, row) if same else None
        lines.append(row_line(row))
    return lines


def run_scenario(told: Row, point: Point, files: BootFiles, machines: StartedMachines) -> tuple[Row, bool]:
    """Boot one scenario. Whatever goes wrong with it becomes its row.

    Args:
        told: What the row says of the scenario itself.
        point: The TD.
        files: The image.
        machines: Where it boots.

    Returns:
        The row, and whether it is the same whatever accepts on demand.
    """
    row: Row = dict.fromkeys(COLUMNS)
    row.update(told)
    same = False
    try:
        result = machines.boot(options_at(point), files)
        row.update(_outcome(result))
        same = result.same_with_any_option
    except UsageError as error:
        row.update(outcome=NOT_STARTED, why=str(error))
    except Exception as error:  # one scenario must not end a sweep of thousands
        row.update(outcome=ERROR, why=f"{type(error).__name__}: {error}")
    return row, same


def row_line(row: Row) -> str:
    """A row as a line of JSON, without its end of line; equal rows make equal bytes."""
    return _encode(row)


@lru_cache(maxsize=64)
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
