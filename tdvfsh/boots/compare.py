"""The same files booted under many options, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.errors import UsageError
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions

COMPARED_ACCEPTS: Final = ("eager", "512M", "presize", "below-4g")
COMPARED_LOADERS: Final = ("direct", "grub2.12")


@dataclass(frozen=True)
class ComparedBoot:
    """One row: the axes, and the boot, or why the TD did not even start."""

    accept: str
    on_demand: str
    loader: str
    result: BootResult | None
    refusal: str | None = None
    memory: int = 0
    firmware_model: str = ""


def compare(
    options: TdOptions,
    files: BootFiles,
    accepts: Iterable[str] = COMPARED_ACCEPTS,
    on_demands: Iterable[str] = ON_DEMAND_NAMES,
    loaders: Iterable[str] = COMPARED_LOADERS,
    progress: Callable[[int, int], None] | None = None,
    memories: Iterable[int] = (),
    firmware_models: Iterable[str] = (),
) -> Iterator[ComparedBoot]:
    """Boot ``files`` once for every combination, everything else as ``options`` say.

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
            chosen.accept.name, chosen.on_demand, chosen.loader, result, refusal, chosen.memory, chosen.firmware_model
        )


def helping_options(result: BootResult) -> list[tuple[str, BootResult]]:
    """The on-demand options with which the same boot ends otherwise tried in turn: name and outcome of each."""
    options = result.machine.options
    tried = []
    for name in ON_DEMAND_NAMES:
        if name != options.on_demand:
            tried.append((name, boot(replace(options, on_demand=name), result.files)))
    return tried
