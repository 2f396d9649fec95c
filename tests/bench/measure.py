"""Medians of interleaved runs, and what a figure is."""

from __future__ import annotations

import gc
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

SECONDS: Final = "s"
BYTES: Final = "B"
_SLICE_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should reach; either bound may be missing.

    Attributes:
        ratio: Ours divided by the peer's is at most this.
        ours: Our median, in the figure's unit, is at most this.
        unit: That unit.
    """

    ratio: float | None = None
    ours: float | None = None
    unit: str = SECONDS

    def __str__(self) -> str:
        parts = [f"≤ {self.ratio:g} ×" if self.ratio is not None else "",
                 f"≤ {self._bound(self.ours)}" if self.ours is not None else ""]  # fmt: skip
        return ", ".join(part for part in parts if part)

    def _bound(self, ours: float) -> str:
        if self.unit == BYTES:
            return f"{ours / 1e6:g} MB"
        return f"{ours * 1e6:g} µs" if ours < 1e-3 else f"{ours * 1e3:g} ms"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        group: Heading.
        name: What is done.
        peer: What else does it.
        ours: Our median, None where it was not measured.
        theirs: The peer's median, None where it was not measured.
        unit: ``s`` or ``B``.
        goal: What it should reach.
        skipped: Why something was not measured.
        at_full_speed: ``ours`` as it would be with this machine at its fastest, where that was worked out.
        note: Why the goal is missed, or what to bear in mind.
    """

    group: str
    name: str
    peer: str
    ours: float | None = None
    theirs: float | None = None
    unit: str = SECONDS
    goal: Goal | None = None
    skipped: str | None = None
    at_full_speed: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's."""
        return self.ours / self.theirs if self.ours is not None and self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached, as measured; None without a goal or a measurement."""
        return self._met_by(self.ours)

    @property
    def met_at_full_speed(self) -> bool | None:
        """The same for the machine at its fastest: a limit in microseconds says nothing on one at half its speed."""
        return self._met_by(self.ours if self.at_full_speed is None else self.at_full_speed)

    def _met_by(self, ours: float | None) -> bool | None:
        if self.goal is None or ours is None:
            return None
        if self.goal.ours is not None and ours > self.goal.ours:
            return False
        if self.goal.ratio is None:
            return True
        return None if self.ratio is None else self.ratio <= self.goal.ratio


def interleave(
    runs: Mapping[str, Callable[[], object]], rounds: int = 31, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Median seconds of one call of each run: processor time of this process, unless another clock is given.

    Each round calls every run for a few milliseconds, one after the other, so that a busy machine slows all alike.
    What stands in memory beforehand is kept out of garbage collection: else the largest run's data slows all others.
    """
    counts = {}
    for name, run in runs.items():
        run()
        start = time.perf_counter()
        run()
        counts[name] = max(1, int(_SLICE_SECONDS / max(time.perf_counter() - start, 1e-9)))
    spent: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.freeze()
    try:
        for _ in range(rounds):
            for name, run in runs.items():
                repeat = range(counts[name])
                start = clock()
                for _ in repeat:
                    run()
                spent[name].append((clock() - start) / counts[name])
    finally:
        gc.unfreeze()
    return {name: statistics.median(times) for name, times in spent.items()}


class Steady(NamedTuple):
    """Medians, and how much slower than at its fastest this machine was meanwhile (at least 1)."""

    medians: dict[str, float]
    slowness: float


def steady(runs: Mapping[str, Callable[[], object]], rounds: int = 31) -> Steady:
    """:func:`interleave`, and how fast the machine was.

    A shared machine may run at half its speed for minutes. A yardstick of plain Python runs in every round: the median
    of what it took, against the least that it ever took in this process, is the slowness.
    """
    yardstick = "\0yardstick"
    _fastest[0] = min([_fastest[0], *(_yardstick_seconds() for _ in range(200))])
    medians = interleave({**runs, yardstick: _count}, rounds)
    return Steady(medians, max(medians.pop(yardstick) / _fastest[0], 1.0))


_fastest = [float("inf")]


def _count() -> None:
    counts: dict[int, int] = {}
    for number in range(1000):
        counts[number & 63] = counts.get(number & 63, 0) + number


def _yardstick_seconds() -> float:
    start = time.process_time()
    _count()
    return time.process_time() - start


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of runs that take long: each once a round, after one of each that does not count."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number:
                spent[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in spent.items()}


def interleave_commands(commands: Mapping[str, Sequence[str]], rounds: int = 31) -> dict[str, float]:
    """Median seconds from starting each command to its end."""

    def runner(command: Sequence[str]) -> Callable[[], object]:
        def run() -> object:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, check=True)  # fmt: skip

        return run

    return interleave({name: runner(command) for name, command in commands.items()}, rounds, time.perf_counter)


def against(
    group: str,
    name: str,
    ours: Callable[[], object],
    peers: Mapping[str, Callable[[], object]],
    goal: Goal | None = None,
    rounds: int = 31,
    clock: Callable[[], float] = time.process_time,
) -> list[Figure]:
    """One figure for each peer, all measured in the same rounds."""
    medians = interleave({"": ours} | dict(peers), rounds, clock)
    return [Figure(group, name, peer, medians[""], medians[peer], goal=goal) for peer in peers]
