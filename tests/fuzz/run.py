"""Run a target many times: how long, how many, and what was found."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.fuzz.mutate import mutate_bytes, mutate_pe
from tests.fuzz.targets import Target

_HANG_SECONDS: Final = 10
_MUTATORS: Final = {"bytes": mutate_bytes, "pe": mutate_pe}
_KEPT: Final = 400
_FROM_SEEDS: Final = 0.75


class Hang(Exception):
    """An input took too long."""


@dataclass
class Outcome:
    """What a run found.

    Attributes:
        runs: Executions.
        seconds: Real seconds, mutation included.
        slowest: Seconds of the slowest input.
        finds: Inputs that broke the target, and how.
    """

    runs: int
    seconds: float
    slowest: float
    finds: list[tuple[bytes, str]]


def fuzz(
    target: Target, runs: int, seed: int = 0, seconds: float | None = None, more_seeds: Sequence[bytes] = ()
) -> Outcome:
    """Up to ``runs`` executions from one seed, or as many as fit in ``seconds``.

    Three of four inputs are a seed changed; the others an earlier input changed further, of which one in fifty is kept.
    """
    random = Random(seed)
    pool = [*target.seeds(), *more_seeds]
    fixed = len(pool)
    mutate = _MUTATORS[target.mutator]
    finds: list[tuple[bytes, str]] = []
    slowest = 0.0
    begin = time.perf_counter()
    before = signal.signal(signal.SIGALRM, _hang)
    done = 0
    try:
        while done < runs:
            if seconds is not None and done % 256 == 0 and time.perf_counter() - begin > seconds:
                break
            size = fixed if random.random() < _FROM_SEEDS else len(pool)
            data = mutate(random, pool[int(random.random() * size)], pool, target.tokens)
            done += 1
            start = time.perf_counter()
            signal.alarm(_HANG_SECONDS)
            try:
                target.run(data)
            except (Exception, Hang) as error:
                finds.append((data, f"{type(error).__name__}: {error}"))
                if len(finds) > 20:
                    break
            finally:
                signal.alarm(0)
            slowest = max(slowest, time.perf_counter() - start)
            if done % 50 == 0:
                if len(pool) < fixed + _KEPT:
                    pool.append(data)
                else:
                    pool[fixed + int(random.random() * _KEPT)] = data
    finally:
        signal.signal(signal.SIGALRM, before)
    return Outcome(done, time.perf_counter() - begin, slowest, finds)


def limit_memory(megabytes: int) -> None:
    """Let an allocation beyond this fail, so that a header that asks for memory is found."""
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _hang(number: int, frame: object) -> None:
    raise Hang(f"longer than {_HANG_SECONDS} s")
