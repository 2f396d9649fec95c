"""The same files booted under many options, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final, overload
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions
from tdvfsh.notebook import table_html
from tdvfsh.units import human_size

COMPARED_ACCEPTS: Final = ("eager", "512M", "presize", "below-4g")
COMPARED_LOADERS: Final = ("direct", "grub2.12")


@dataclass(frozen=True, repr=False)
class ComparedBoot:
    """One row: the axes, and the boot, or why the TD did not even start."""

    accept: str
    on_demand: str
    loader: str
    result: BootResult | None
    refusal: str | None = None
    memory: int = 0
    firmware_model: str = ""

    @property
    def outcome(self) -> str:
        """How it ended, in a few words."""
        if self.result is None:
            return f"not started: {self.refusal}"
        return "booted" if self.result.booted else f"{self.result.status.name} at {self.result.stage}"

    def __repr__(self) -> str:
        return f"<ComparedBoot {self.accept}, {self.loader}, {self.on_demand}: {self.outcome}>"


class Comparison(Sequence[ComparedBoot]):
    """Boots of the same files under many options, in the order of the axes."""

    def __init__(self, rows: Iterable[ComparedBoot]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> ComparedBoot: ...
    @overload
    def __getitem__(self, index: slice) -> Comparison: ...
    def __getitem__(self, index: int | slice) -> ComparedBoot | Comparison:
        return Comparison(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __repr__(self) -> str:
        booted = sum(row.result is not None and row.result.booted for row in self._rows)
        return f"<Comparison of {len(self)} boots: {booted} booted, {len(self) - booted} did not>"

    def _repr_html_(self) -> str:
        columns = (
            "memory",
            "firmware",
            "accept",
            "loader",
            "on demand",
            "outcome",
            "on demand, bytes",
            "left to the OS",
        )
        return table_html(
            repr(self)[1:-1],
            columns,
            (
                (
                    human_size(row.memory),
                    row.firmware_model,
                    row.accept,
                    row.loader,
                    row.on_demand,
                    row.outcome,
                    *(("", "") if row.result is None else (row.result.on_demand_bytes, row.result.left_to_os_bytes)),
                )
                for row in self._rows
            ),
        )


def compare(
    options: TdOptions,
    files: BootFiles,
    accepts: Iterable[str] = COMPARED_ACCEPTS,
    on_demands: Iterable[str] = ON_DEMAND_NAMES,
    loaders: Iterable[str] = COMPARED_LOADERS,
    progress: Callable[[int, int], None] | None = None,
    memories: Iterable[int] = (),
    firmware_models: Iterable[str] = (),
) -> Comparison:
    """Boot ``files`` once for every combination, everything else as ``options`` say.

    Args:
        options: The TD.
        files: What is booted.
        accepts: Values of ``--accept``.
        on_demands: Values of ``--on-demand``.
        loaders: Values of ``--loader``.
        progress: Progress callback: boots done, boots total.
        memories: Bytes of RAM; the options' own where empty.
        firmware_models: Firmware models; the options' own where empty.

    Returns:
        The boots, in the order of the axes.

    Raises:
        UsageError: A value that an axis does not have; before anything is booted.
    """
    return Comparison(
        compared_boots(
            options, files, accepts, on_demands, loaders,
            progress=progress, memories=memories, firmware_models=firmware_models,
        )
    )  # fmt: skip


def compared_boots(
    options: TdOptions,
    files: BootFiles,
    accepts: Iterable[str] = COMPARED_ACCEPTS,
    on_demands: Iterable[str] = ON_DEMAND_NAMES,
    loaders: Iterable[str] = COMPARED_LOADERS,
    progress: Callable[[int, int], None] | None = None,
    memories: Iterable[int] = (),
    firmware_models: Iterable[str] = (),
) -> Iterator[ComparedBoot]:
    """:func:`compare`, boot by boot.

    A machine is dropped as soon as its row was looked at.

    Raises:
        UsageError: A value that an axis does not have; before anything is booted.
    """
    rows = [
        replace(
            options,
            memory=memory,
            firmware_model=model,
            accept=parse_boot_accept(accept),
            loader=loader,
            on_demand=on_demand,
        )
        for memory, model, accept, loader, on_demand in product(
            tuple(memories) or (options.memory,),
            tuple(firmware_models) or (options.firmware_model,),
            accepts,
            loaders,
            on_demands,
        )
    ]
    for number, chosen in enumerate(rows):
        if progress is not None:
            progress(number, len(rows))
        result, refusal = None, None
        try:
            result = boot(chosen, files)
        except UsageError as error:
            refusal = str(error)
        yield ComparedBoot(
            accept=chosen.accept.name,
            on_demand=chosen.on_demand,
            loader=chosen.loader,
            result=result,
            refusal=refusal,
            memory=chosen.memory,
            firmware_model=chosen.firmware_model,
        )


def helping_options(result: BootResult) -> list[tuple[str, BootResult]]:
    """The on-demand options with which the same boot ends otherwise tried in turn: name and outcome of each."""
    options = result.machine.options
    tried = []
    for name in ON_DEMAND_NAMES:
        if name != options.on_demand:
            tried.append((name, boot(replace(options, on_demand=name), result.files)))
    return tried
