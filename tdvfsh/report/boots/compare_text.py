"""Boots side by side: a table, SFO rows and plain values for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tdvfsh.accept.availability import accept_sentence, change_needed, option_sentence
from tdvfsh.accept.boot_time import BELOW_4G, EAGER
from tdvfsh.boots.compare import COMPARED_ACCEPTS, ComparedBoot
from tdvfsh.lazy_typing import NamedTuple
from tdvfsh.report.boots.boot_text import labelled
from tdvfsh.report.modelled_text import ModelledSeconds, cell_text
from tdvfsh.report.schema import document
from tdvfsh.report.table import table_lines
from tdvfsh.units import human_size, ram_size

ANY_OPTION = "any"


class ComparedRow(NamedTuple):
    """One boot of a comparison, reduced to what the table shows; sizes in bytes, times in modelled seconds."""

    accept: str
    loader: str
    on_demand: str
    status: str
    stage: str
    boot_bytes: int = 0
    on_demand_bytes: int = 0
    left_to_os_bytes: int = 0
    boot_accept_seconds: float = 0.0
    on_demand_accept_seconds: float = 0.0
    why: str = ""
    memory: int = 0
    firmware_model: str = ""
    dma_accept_seconds: float = 0.0
    accept_low_seconds: float = 0.0
    accept_high_seconds: float = 0.0
    placeholder: bool = False
    extrapolated: bool = False

    @property
    def accept_seconds(self) -> float:
        """Likely seconds of all accepts before the operating system."""
        return self.boot_accept_seconds + self.on_demand_accept_seconds + self.dma_accept_seconds

    @property
    def time(self) -> ModelledSeconds:
        """The modelled time of all accepts before the operating system."""
        return ModelledSeconds(
            self.accept_seconds, self.accept_low_seconds, self.accept_high_seconds, self.placeholder, self.extrapolated
        )

    @property
    def booted(self) -> bool:
        """Whether the operating system was reached."""
        return self.status == "EFI_SUCCESS"


def policies_around(accept: str) -> tuple[str, ...]:
    """The boot-time policies that are compared, and ``accept`` among them."""
    return tuple(dict.fromkeys((accept, *COMPARED_ACCEPTS)))


def compared_rows(boots: Iterable[ComparedBoot]) -> list[ComparedRow]:
    """The rows of a comparison; each machine is let go at once."""
    return [_row(compared) for compared in boots]


def _row(compared: ComparedBoot) -> ComparedRow:
    row = ComparedRow(
        accept=compared.accept,
        loader=compared.loader,
        on_demand=compared.on_demand,
        status="not started",
        stage="start",
        why=compared.refusal or "",
        memory=compared.memory,
        firmware_model=compared.firmware_model,
    )
    result = compared.result
    if result is None:
        return row
    time = result.accept_time
    low, high = time.range_seconds
    return row._replace(
        status=result.status.name,
        stage=result.stage,
        boot_bytes=result.boot_bytes,
        on_demand_bytes=result.on_demand_bytes,
        left_to_os_bytes=result.left_to_os_bytes,
        boot_accept_seconds=result.boot_accept_seconds,
        on_demand_accept_seconds=result.on_demand_seconds,
        dma_accept_seconds=result.dma_seconds,
        accept_low_seconds=low,
        accept_high_seconds=high,
        placeholder=time.rests_on_placeholder,
        extrapolated=time.is_extrapolated,
        why=result.failure.why if result.failure is not None else "",
    )


def compare_dict(rows: Iterable[ComparedRow]) -> dict[str, object]:
    """Plain values, for JSON."""
    return document("compare", {"boots": compared_dicts(rows)})


def compared_dicts(rows: Iterable[ComparedRow]) -> list[dict[str, object]]:
    """The rows alone."""
    return [
        {
            **row._asdict(),
            "booted": row.booted,
            "needs": change_needed(row.accept, row.on_demand, row.loader).value,
        }
        for row in rows
    ]


def compare_lines(rows: Sequence[ComparedRow]) -> list[str]:
    """The table: options that end alike share a line, and what repeats in the first columns is left blank.

    RAM and firmware stand in headings of their own where they vary.
    """
    machines = list(dict.fromkeys((row.memory, row.firmware_model) for row in rows))
    if len(machines) < 2:
        return [*_one_machine(rows), *_availability_lines(rows)]
    lines: list[str] = []
    for memory, model in machines:
        lines += ["", f"{ram_size(memory)} RAM, firmware {model}"]
        lines += _one_machine([row for row in rows if (row.memory, row.firmware_model) == (memory, model)])
    return [*lines[1:], *_availability_lines(rows)]


def _availability_lines(rows: Sequence[ComparedRow]) -> list[str]:
    """What of the compared settings there is today, and what would need a change."""
    accepts = dict.fromkeys(row.accept for row in rows)
    options = dict.fromkeys(row.on_demand for row in rows)
    known = [accept_sentence(name) for name in accepts if name in (BELOW_4G, EAGER)]
    sizes = [name for name in accepts if name not in (BELOW_4G, EAGER)]
    if sizes:
        known.append(accept_sentence(", ".join(sizes)))
    known += filter(None, map(option_sentence, options))
    return ["", *(line for index, text in enumerate(known) for line in labelled("" if index else "to be had", text))]


def _one_machine(rows: Sequence[ComparedRow]) -> list[str]:
    cells = [("accept", "loader", "on demand", "result", "at boot", "on demand", "left to OS", "modelled")]
    before = ("", "")
    for row, options in alike_rows(rows):
        axes = (row.accept, row.loader)
        cells.append(
            (
                row.accept if row.accept != before[0] else "",
                row.loader if axes != before else "",
                options,
                "boots" if row.booted else _failure(row),
                human_size(row.boot_bytes),
                human_size(row.on_demand_bytes) if row.on_demand_bytes else "-",
                human_size(row.left_to_os_bytes) if row.left_to_os_bytes else "-",
                cell_text(row.time),
            )
        )
        before = axes
    return table_lines(cells, "    >>>>")


def alike_rows(rows: Sequence[ComparedRow]) -> list[tuple[ComparedRow, str]]:
    """Each different outcome of each (accept, loader), with the options that lead to it."""
    groups: dict[tuple[object, ...], tuple[ComparedRow, list[str]]] = {}
    of_pair: dict[tuple[str, str], int] = {}
    for row in rows:
        of_pair[row.accept, row.loader] = of_pair.get((row.accept, row.loader), 0) + 1
        key = tuple(row._replace(on_demand=""))
        groups.setdefault(key, (row, []))[1].append(row.on_demand)
    return [
        (row, ANY_OPTION if 1 < len(names) == of_pair[row.accept, row.loader] else ", ".join(names))
        for row, names in groups.values()
    ]


def compare_sfo(rows: Sequence[ComparedRow]) -> list[str]:
    """Rows in the Shell's standard format output."""
    lines = ['ShellCommand,"compare"']
    for row in rows:
        quoted = ",".join('"' + str(value).replace('"', '^"') + '"' for value in row)
        lines.append(f"Boot,{quoted}")
    return lines


def _failure(row: ComparedRow) -> str:
    return f"{row.status.removeprefix('EFI_')} at {row.stage}" if row.stage != "start" else row.status
