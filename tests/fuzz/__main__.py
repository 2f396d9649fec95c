"""``python -m tests.fuzz [--runs N] [--seed N] [TARGET...]``, or with ``--atheris TARGET`` guided by coverage."""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path
from typing import Final

from tests.fuzz.guided import fuzz_guided

_MEMORY_MB: Final = 1024


def main() -> int:
    """Fuzz the targets named, all without a name; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--runs", type=int, default=100_000, help="executions over all targets named")
    parser.add_argument("--seconds", type=float, help="stop each target after this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for inputs that broke something")
    parser.add_argument("--images", type=Path, help="folder of real images to cut seeds from as well")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage; one target")
    parser.add_argument("target", nargs="*", metavar="TARGET", help="all without a name")
    arguments = parser.parse_args()
    if arguments.images is not None and not arguments.images.is_dir():
        parser.error(f"{arguments.images}: no such folder")
    if arguments.atheris:
        if len(arguments.target) != 1:
            parser.error("--atheris takes one target")
        return fuzz_guided(arguments.target[0], arguments.runs, arguments.seed, arguments.seconds, arguments.images,
                           arguments.save)  # fmt: skip
    from tests.fuzz.real import real_seeds
    from tests.fuzz.run import fuzz, limit_memory
    from tests.fuzz.targets import TARGETS

    names = arguments.target or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"{unknown[0]}: no such target; there are {', '.join(TARGETS)}")
    more = real_seeds(arguments.images) if arguments.images else {}
    limit_memory(_MEMORY_MB)
    total = sum(TARGETS[name].share for name in names)
    runs = finds = 0
    for name in names:
        share = arguments.runs * TARGETS[name].share // total
        outcome = fuzz(TARGETS[name], share, arguments.seed, arguments.seconds, more.get(name, ()))
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


if __name__ == "__main__":
    sys.exit(main())
