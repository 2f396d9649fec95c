"""Sweeps: processor time of a scenario, and what a second process brings."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tdvfsh.sweep.executors import Workers, local_workers
from tdvfsh.sweep.images import read_images
from tdvfsh.sweep.run import run_sweep
from tdvfsh.sweep.spec import read_spec
from tdvfsh.sweep.store import ResultStore
from tests.bench.measure import Figure, Goal, steady

GROUP: Final = "sweep"
_ROUNDS: Final = 3
_SCENARIO: Final = Goal(ours=1e-3)
_TWO: Final = Goal(ratio=1 / 1.9)
_SPEC: Final = """
[[made]]
name = "made"
kernel_size = ["8M", "12M"]
init_size = "56M"
initrd_size = ["0", "40M", "120M"]

[[grid]]
memory = ["2G", "6G"]
accept = [{{ from = "160M", to = "1G", step = "{step}" }}, "presize", "below-4g"]
on_demand = {options}
loader = ["direct", "grub2.12"]
"""
_OPTIONS: Final = '["none", "allocator", "loader", "service"]'


def figures() -> list[Figure]:
    """Scenarios with and without options to compare, in one process; and the former in two, by the clock."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        one, two = (stack.enter_context(local_workers(jobs)) for jobs in (1, 2))
        many, plain = _sweep(folder, "24M", _OPTIONS), _sweep(folder, "12M", '"none"')
        spent: dict[str, list[float]] = {name: [] for name in ("many", "plain", "one", "two")}
        _clocked(lambda: many(two), time.perf_counter)  # both processes start, and import what they need
        slowness = steady({}, rounds=_ROUNDS).slowness
        for _ in range(_ROUNDS):
            spent["many"].append(_clocked(lambda: many(one), time.process_time))
            spent["plain"].append(_clocked(lambda: plain(one), time.process_time))
            spent["one"].append(_clocked(lambda: many(one), time.perf_counter))
            spent["two"].append(_clocked(lambda: many(two), time.perf_counter))
    each = {name: statistics.median(times) for name, times in spent.items()}
    return [
        Figure(GROUP, "a scenario, four on-demand options each", "", each["many"], goal=_SCENARIO,
               at_full_speed=each["many"] / slowness),
        Figure(GROUP, "a scenario, no options to compare", "", each["plain"]),
        Figure(GROUP, "a scenario, two processes", "one process, by the clock", each["two"], each["one"], goal=_TWO,
               note="of a machine with two idle cores"),
    ]  # fmt: skip


def _sweep(folder: Path, step: str, options: str) -> Callable[[Workers], int]:
    """A sweep into a new folder each time; it returns how many scenarios it ran."""
    path = folder / f"{step}.toml"
    path.write_text(_SPEC.format(step=step, options=options))
    spec = read_spec(path)
    images = read_images(spec.images)

    def run(workers: Workers) -> int:
        with TemporaryDirectory(dir=folder) as results, ResultStore(results) as store:
            return len(run_sweep(images, spec.grids, store, workers))

    return run


def _clocked(run: Callable[[], int], clock: Callable[[], float]) -> float:
    """Seconds of each scenario."""
    start = clock()
    count = run()
    return (clock() - start) / count
