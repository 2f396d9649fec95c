"""The ladder of a boot: for each stage, the smallest size accepted at boot with which it is reached.

A stage counts as reached once what it puts into memory has been put there, whatever comes after.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.accept.boot_time import EAGER, BootAccept
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import MIB, PAGE_SIZE, align_up, format_size

STARTS: Final = "firmware"
BOOTS: Final = "boots"
_COMPLETE: Final = "boots with its initrd"
_MEANINGS: Final = {
    STARTS: "the firmware itself starts",
    "kernel_file": "the kernel's file is in memory",
    "initrd_file": "all blobs are fetched",
    "grub": "the boot loader is loaded",
    "heap": "GRUB has its heap",
    "image": "the kernel's image is loaded, its EFI stub entered",
    "kernel": "the kernel has its buffer",
    "initrd": "the initrd is in its place",
    BOOTS: "the operating system is reached",
}
_LEAST_SHOWN: Final = MIB
"""A placement smaller than this makes no rung."""
_PROBES: Final = 8
"""Sizes looked at below each rung for a stage that is reached there and lost again."""

Progress = Callable[[int], None]
"""Progress callback: number of boots so far."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One stage of a ladder.

    Attributes:
        stage: ``firmware``, the name of a placement, or ``boots``.
        meaning: The stage in words.
        accepted: The smallest size in bytes, a multiple of the step, with which it is reached; None where no size does.
        below: A smaller size that also reaches it although sizes between them fail; usually None.
    """

    stage: str
    meaning: str
    accepted: int | None
    below: int | None = None


def ladder(options: TdOptions, files: BootFiles, step: int = MIB, progress: Progress | None = None) -> list[Rung]:
    """The rungs in the order in which a boot reaches them.

    Each is found by halving, with the size just below it seen to fail. Stages are taken to stay reached as more is
    accepted, which options that accept on demand can break: some smaller sizes are looked at for that.

    Args:
        options: The machine; what is accepted at boot is varied.
        files: What to boot.
        step: Granularity in bytes, a multiple of 4 KiB.
        progress: Progress callback, called after each boot.

    Returns:
        A rung for each stage, in the order in which a boot reaches them.

    Raises:
        UsageError: An invalid step, or a machine that does not accept all memory at boot.
    """
    if step < PAGE_SIZE or step % PAGE_SIZE:
        raise UsageError(f"--step {format_size(step)}: must be a multiple of 4 KiB, and not 0")
    if not options.td:
        raise UsageError("a ladder needs a TD: in a plain VM all memory is there from the start")
    if options.map is not None:
        raise UsageError("a ladder varies what is accepted at boot, and with --map the map says that")
    climb = _Climb(options, files, step, progress)
    top = climb.boot_with(BootAccept(EAGER))
    limit = align_up(options.memory, step) // step
    rungs = []
    at_least = 1
    for stage in _stages(top):
        found = climb.lowest(stage, at_least, limit)
        if found is not None and stage == STARTS:
            at_least = found
        below = None if found is None else climb.reached_below(stage, at_least, found)
        rungs.append(
            Rung(
                stage,
                _MEANINGS.get(stage, f"{stage} is placed"),
                None if found is None else found * step,
                None if below is None else below * step,
            )
        )
    return rungs


def least_accept(options: TdOptions, files: BootFiles, step: int = MIB) -> int | None:
    """The smallest size accepted at boot, in bytes, with which the operating system is reached, initrd and all."""
    climb = _Climb(options, files, step, None)
    found = climb.lowest(_COMPLETE, 1, align_up(options.memory, step) // step)
    return None if found is None else found * step


def _stages(result: BootResult | None) -> list[str]:
    stages = [STARTS]
    for placement in result.placements if result is not None else ():
        shown = placement.size >= _LEAST_SHOWN and placement.what in _MEANINGS
        if shown and placement.what not in stages:
            stages.append(placement.what)
    return [*stages, BOOTS]


class _Climb:
    """Boots by accepted size, each made once."""

    def __init__(self, options: TdOptions, files: BootFiles, step: int, progress: Progress | None) -> None:
        self._options = options
        self._files = files
        self._step = step
        self._progress = progress
        self._boots = 0
        self._reached: dict[int, frozenset[str]] = {}

    def boot_with(self, accept: BootAccept) -> BootResult | None:
        """The boot with ``accept`` at boot, or None where the TD does not start."""
        self._boots += 1
        if self._progress is not None:
            self._progress(self._boots)
        try:
            return boot(replace(self._options, accept=accept), self._files)
        except UsageError:
            return None

    def reached(self, steps: int) -> frozenset[str]:
        """The stages reached with ``steps`` steps accepted."""
        if steps not in self._reached:
            size = steps * self._step
            result = self.boot_with(BootAccept(format_size(size), size))
            stages: frozenset[str] = frozenset()
            if result is not None:
                stages = frozenset({STARTS, *(entry.what for entry in result.placements)})
                stages |= {BOOTS} if result.booted else set()
                stages |= {_COMPLETE} if result.booted and not result.lacks_initrd else set()
            self._reached[steps] = stages
        return self._reached[steps]

    def lowest(self, stage: str, low: int, high: int) -> int | None:
        """The lowest number of steps from ``low`` to ``high`` that reaches ``stage``, one less failing."""
        if stage not in self.reached(high):
            return None
        while low < high:
            middle = (low + high) // 2
            if stage in self.reached(middle):
                high = middle
            else:
                low = middle + 1
        return high

    def reached_below(self, stage: str, low: int, found: int) -> int | None:
        """A number of steps clearly below ``found`` that reaches ``stage`` too."""
        probes = {low + (found - low) * number // _PROBES for number in range(_PROBES)}
        return next((steps for steps in sorted(probes) if steps < found and stage in self.reached(steps)), None)
