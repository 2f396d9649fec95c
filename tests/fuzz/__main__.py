"""``python -m tests.fuzz [--runs N] [--seed N] [TARGET...]``, or with ``--atheris TARGET`` guided by coverage."""

from __future__ import annotations

import argparse
import resource
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.mutate import mutate_pe
from tests.fuzz.run import fuzz, limit_memory
from tests.fuzz.targets import TARGETS

_MEMORY_MB: Final = 1024
_ADVICE: Final = "atheris is not installed: pip install -e '.[fuzz]'"


def main() -> int:
    """Fuzz the targets named, all without a name; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--runs", type=int, default=100_000, help="executions over all targets named")
    parser.add_argument("--seconds", type=float, help="stop each target after this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for inputs that broke something")
    parser.add_argument("--atheris", action="store_true", help="coverage guided; one target, until interrupted")
    parser.add_argument("target", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    arguments = parser.parse_args()
    names = arguments.target or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"{unknown[0]}: no such target; there are {', '.join(TARGETS)}")
    if arguments.atheris:
        if len(names) != 1:
            parser.error("--atheris takes one target")
        return _guided(names[0], arguments.runs, arguments.seed)
    limit_memory(_MEMORY_MB)
    total = sum(TARGETS[name].share for name in names)
    runs = finds = 0
    for name in names:
        share = arguments.runs * TARGETS[name].share // total
        outcome = fuzz(TARGETS[name], share, arguments.seed, arguments.seconds)
        runs += outcome.runs
        finds += len(outcome.finds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        each = outcome.seconds / max(outcome.runs, 1) * 1e6
        print(
            f"{name:12} {outcome.runs:9,} runs {outcome.seconds:7.1f} s  {each:7.1f} µs each  "
            f"slowest {outcome.slowest * 1e3:7.1f} ms  peak {peak} MiB  {len(outcome.finds)} finds",
            flush=True,
        )
        for number, (data, why) in enumerate(outcome.finds):
            print(f"  {why[:300]}\n    {data[:64].hex()} ({len(data)} bytes)")
            if arguments.save:
                arguments.save.mkdir(exist_ok=True)
                (arguments.save / f"{name}-{number}").write_bytes(data)
    print(f"{'all':12} {runs:9,} runs, {finds} finds")
    return 1 if finds else 0


def _guided(name: str, runs: int, seed: int) -> int:
    """Hand a target to atheris, with the seeds as its corpus."""
    if find_spec("atheris") is None:
        print(_ADVICE, file=sys.stderr)
        return 2
    atheris = import_module("atheris")
    target = TARGETS[name]
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as corpus:
        for number, data in enumerate(target.seeds()):
            Path(corpus, f"seed{number}").write_bytes(data)
        more = {}
        if target.mutator == "pe":
            known = target.seeds()

            def mutator(data: bytes, size: int, number: int) -> bytes:
                return mutate_pe(Random(number), bytes(data), known, ())[:size]

            more["custom_mutator"] = mutator
        atheris.instrument_all()
        atheris.Setup([name, f"-runs={runs}", f"-seed={seed}", "-timeout=10", "-rss_limit_mb=2048", corpus],
                      lambda data: target.run(bytes(data)), **more)  # fmt: skip
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
