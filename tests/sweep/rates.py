"""How much two processes do of a sweep, against what two processes do at all on this machine just then.

    python -m tests.sweep.rates SPEC.toml [ROUNDS]

A round runs a plain loop alone, two such loops side by side, the sweep in one process, and in two. Other work on the
machine slows both pairs, so their ratios are shown beside each other; and processor seconds, of which it takes none.
"""

from __future__ import annotations

import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

_LOOP: Final = """
import time
start, count = time.perf_counter(), 0
for number in range(30_000_000):
    count += number & 7
print(time.perf_counter() - start)
"""


def loops_ratio() -> float:
    """How many times the work of one plain loop two of them do in the same time."""
    return 2 * _loop_seconds(1) / _loop_seconds(2)


class Rate(NamedTuple):
    """A sweep from nothing: scenarios, scenarios a second, and processor seconds of all its processes in sum."""

    scenarios: int
    each_second: float
    processor_seconds: float


def sweep_rate(spec: str, jobs: int) -> Rate:
    """Run a sweep."""
    before = _processor_seconds()
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tdvfsh", "sweep", spec, "-o", folder, "--jobs", str(jobs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = re.search(r"(\d+) run in ([\d.]+) s", done.stderr)
    assert told is not None, done.stderr
    return Rate(int(told[1]), int(told[1]) / float(told[2]), _processor_seconds() - before)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _loop_seconds(count: int) -> float:
    command = [sys.executable, "-c", _LOOP]
    loops = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return max(float(loop.communicate()[0]) for loop in loops)


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> int:
    """Print a line for each round, and the medians."""
    spec, rounds = words[0], int(words[1]) if len(words) > 1 else 3
    ratios = []
    for _ in range(rounds):
        plain = loops_ratio()
        one, two = sweep_rate(spec, 1), sweep_rate(spec, 2)
        times = two.each_second / one.each_second
        ratios.append((plain, times))
        _tell(
            f"{one.scenarios} scenarios: {one.each_second:.0f}/s in 1 process, {two.each_second:.0f}/s in 2, "
            f"{times:.2f} times; plain loops: {plain:.2f} times; "
            f"processor seconds: {one.processor_seconds:.1f} and {two.processor_seconds:.1f}"
        )
    loops, swept = (statistics.median(values) for values in zip(*ratios, strict=True))
    _tell(f"median: 2 processes do {swept:.2f} times the scenarios of 1; of plain loops {loops:.2f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
