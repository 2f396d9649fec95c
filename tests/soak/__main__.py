"""``python -m tests.soak [--commands N] [--seed N]``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.soak.soak import Soak

_REPORTS = 10


def main() -> int:
    """Run, and say how memory went."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    soak = Soak(arguments.seed)
    start = time.perf_counter()
    for _ in range(_REPORTS):
        soak.run(arguments.commands // _REPORTS)
        resident = soak.resident[-1] >> 20 if soak.resident else 0
        print(f"{soak.commands:9,} commands {time.perf_counter() - start:7.1f} s, {resident} MiB resident", flush=True)
    print(f"slowest: {soak.slowest[0] * 1e3:.1f} ms, {soak.slowest[1][:80]!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
