"""The smallest size accepted at boot with which a boot succeeds, and from which size on no boot fails.

Success does not always stay once reached: with KASLR the kernel may take just the place that the initrd would have
needed, and some cures work for little and for much accepted memory and fail in between. So halving only finds a first
size; what decides is that every size below it that could succeed is run too, and a good deal of those above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdvfsh.accept.boot_time import BootAccept
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.cost import NO_TIME, Modelled
from tdvfsh.units import PAGE_SIZE, format_size, human_size

WINDOW: Final = 64
"""Steps above a failure that must all succeed before larger strides are taken."""
_STRIDE: Final = 1.125
_HELD: Final = ("kernel_file", "initrd_file", "image", "initrd")
"""Placements that every successful boot of a flow holds to its end, wherever it puts them."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One boot. Sizes in bytes; ``time`` is modelled; ``held_bytes`` is what certainly has to be accepted.

    ``dma_pages`` of 4 KiB are accepted again after DMA, and ``dma_time`` of ``time`` goes to that.
    """

    accept: int
    booted: bool
    started: bool
    ending: str
    boot_bytes: int = 0
    on_demand_bytes: int = 0
    time: Modelled = NO_TIME
    held_bytes: int = 0
    dma_pages: int = 0
    dma_time: Modelled = NO_TIME


@dataclass(frozen=True, slots=True)
class Found:
    """The answer for one loader and one option.

    Attributes:
        smallest: The boot with the least accepted at boot that succeeds.
        below: The boot with one step less, which fails; None where that is nothing at all.
        steady: Bytes from which on no boot that was run fails.
        fails_between: Sizes between ``smallest`` and ``steady`` that were seen to fail.
        boots: Boots run for this.
    """

    smallest: Trial
    below: Trial | None
    steady: int
    fails_between: tuple[int, ...]
    boots: int


class AcceptSearch:
    """Search over boots of the same files that differ in what is accepted at boot; each size is run once.

    Args:
        options: The machine; its own accept does not count.
        files: What is booted.
        step: Granularity in bytes.

    Raises:
        UsageError: A step that is not a multiple of 4 KiB, or a machine that cannot accept in part.
    """

    def __init__(self, options: TdOptions, files: BootFiles, step: int) -> None:
        if step < PAGE_SIZE or step % PAGE_SIZE:
            raise UsageError(f"--step {format_size(step)}: must be a multiple of 4 KiB, and not 0")
        if not options.td or options.map is not None:
            raise UsageError("advice varies what is accepted at boot: --no-td and --map cannot be used with it")
        self._options = options
        self._files = files
        self._step = step
        self._trials: dict[int, Trial] = {}
        self._most = -(-options.memory // step)

    def trial(self, accept: int) -> Trial:
        """The boot with ``accept`` bytes accepted at boot."""
        return self._trial(accept // self._step)

    def find(self) -> Found | None:
        """Search; None where no size that was tried boots."""
        least = self._least_that_starts()
        some = self._some_success(least)
        if some is None:
            return None
        smallest = self._smallest(least, some)
        failing = self._failures_above(smallest)
        steady = (failing[-1] if failing else smallest - 1) + 1
        return Found(
            self._trial(smallest),
            self._trial(smallest - 1) if smallest > 1 else None,
            steady * self._step,
            tuple(steps * self._step for steps in failing),
            len(self._trials),
        )

    def _trial(self, steps: int) -> Trial:
        known = self._trials.get(steps)
        if known is None:
            known = self._trials[steps] = run_trial(self._options, self._files, steps * self._step)
        return known

    def _least_that_starts(self) -> int:
        """The fewest steps with which firmware itself starts; that only ever depends on there being enough."""
        low, high = 1, self._most
        while low < high:
            middle = (low + high) // 2
            if self._trial(middle).started:
                high = middle
            else:
                low = middle + 1
        return low

    def _some_success(self, least: int) -> int | None:
        """A number of steps that boots: all of the memory, or what a look around finds."""
        candidates = [least, self._most, *sorted(_strides(least, self._most), reverse=True)]
        return next((steps for steps in candidates if self._trial(steps).booted), None)

    def _smallest(self, least: int, some: int) -> int:
        low, high = least, some
        while low < high:
            middle = (low + high) // 2
            if self._trial(middle).booted:
                high = middle
            else:
                low = middle + 1
        # Halving found a success above a failure. What is below that failure and could hold the files is run whole.
        floor = least
        if self._options.on_demand == "none":
            floor = max(least, self._trial(high).held_bytes // self._step)
        return next(steps for steps in range(floor, high + 1) if self._trial(steps).booted)

    def _failures_above(self, smallest: int) -> list[int]:
        failing: list[int] = []
        strides = iter(_strides(smallest + WINDOW, self._most))
        steps, sure_from = smallest, smallest
        while steps < self._most:
            close = steps - sure_from < WINDOW
            steps = steps + 1 if close else next((at for at in strides if at > steps), self._most)
            if not self._trial(steps).booted:
                failing.append(steps)
                sure_from = steps
        return failing


def _strides(low: int, high: int) -> Iterator[int]:
    """From ``low`` to ``high`` in steps that grow."""
    at = float(max(low, 1))
    while at < high:
        yield int(at)
        at = max(at + 1, at * _STRIDE)


def run_trial(
    options: TdOptions, files: BootFiles, accept: int, run: Callable[[TdOptions, BootFiles], BootResult] = boot
) -> Trial:
    """Boot with ``accept`` bytes accepted at boot, everything else as ``options`` say; ``run`` makes the boot."""
    return run_policy(options, files, BootAccept(format_size(accept), accept), run)


def run_policy(
    options: TdOptions,
    files: BootFiles,
    policy: BootAccept,
    run: Callable[[TdOptions, BootFiles], BootResult] = boot,
) -> Trial:
    """Boot with what ``policy`` accepts at boot, everything else as ``options`` say."""
    accept = policy.size or 0
    try:
        result = run(options.changed(accept=policy), files)
    except UsageError as error:
        return Trial(accept, False, False, str(error))
    return Trial(
        accept=accept,
        booted=result.booted,
        started=True,
        ending=_ending(result),
        boot_bytes=result.boot_bytes,
        on_demand_bytes=result.on_demand_bytes,
        time=result.accept_time,
        held_bytes=sum(entry.size for entry in result.placements if entry.what in _HELD and not entry.freed),
        dma_pages=result.dma_pages,
        dma_time=result.dma_time,
    )


def _ending(result: BootResult) -> str:
    if result.booted:
        return "boots"
    text = f"{result.status.name.removeprefix('EFI_')} at {result.stage}"
    failure = result.failure
    if failure is None or not failure.asked_bytes:
        return text
    return f"{text}: needs {human_size(failure.asked_bytes)}, has {human_size(failure.largest_free_bytes)} in one piece"
