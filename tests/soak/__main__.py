"""``python -m tests.soak [--commands N] [--seed N] [--one-td]``."""

from __future__ import annotations

import argparse
import sys
import time

from tdvfsh.units import MIB
from tests.soak.soak import Soak

_REPORTS = 20


def main() -> int:
    """Run, and say how memory went."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one-td", action="store_true", help="one TD for all commands, not a new one every 2,000")
    arguments = parser.parse_args()
    soak = Soak(arguments.seed, arguments.one_td)
    start = time.perf_counter()
    for _ in range(_REPORTS):
        soak.run(arguments.commands // _REPORTS, 2000)
        now = soak.stretches[-1] if soak.stretches else None
        if now is not None:
            passed = time.perf_counter() - start
            resident, journal = now.resident / MIB, now.journal / MIB
            print(
                f"{soak.commands:9,} commands {passed:8.1f} s  {resident:6.1f} MiB resident, {journal:5.1f} of it "
                f"journal ({now.records:,} records)  {now.descriptors} descriptors  {now.handles} handles",
                flush=True,
            )
    print(f"slowest: {soak.slowest[0] * 1e3:.1f} ms of processor time, {soak.slowest[1][:80]!r}")
    print(f"longest: {soak.longest[0] * 1e3:.1f} ms by the clock, {soak.longest[1][:80]!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
