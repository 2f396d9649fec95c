"""The same files booted under many options, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.errors import UsageError
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.boot import BootResult, boot
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


def compare(
    options: TdOptions,
    files: BootFiles,
    accepts: Iterable[str] = COMPARED_ACCEPTS,
    on_demands: Iterable[str] = ON_DEMAND_NAMES,
    loaders: Iterable[str] = COMPARED_LOADERS,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[ComparedBoot]:
    """Boot ``files`` once for every combination, everything else as ``options`` say.

    A machine is dropped as soon as its row was looked at.
    """
    rows = [(accept, loader, on_demand) for accept in accepts for loader in loaders for on_demand in on_demands]
    for number, (accept, loader, on_demand) in enumerate(rows):
        if progress is not None:
            progress(number, len(rows))
        chosen = replace(options, accept=parse_boot_accept(accept), on_demand=on_demand, loader=loader)
        try:
            yield ComparedBoot(accept, on_demand, loader, boot(chosen, files))
        except UsageError as error:
            yield ComparedBoot(accept, on_demand, loader, None, str(error))


def helping_options(result: BootResult) -> list[tuple[str, BootResult]]:
    """The on-demand options with which the same boot ends otherwise tried in turn: name and outcome of each."""
    options = result.machine.options
    tried = []
    for name in ON_DEMAND_NAMES:
        if name != options.on_demand:
            tried.append((name, boot(replace(options, on_demand=name), result.files)))
    return tried
