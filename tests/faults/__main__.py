"""``python -m tests.faults [--tries N] [--seed N] [KIND...]``: kill -9 at random moments."""

from __future__ import annotations

import argparse
import sys
import time

from tests.faults.kills import KINDS, kill_often


def main() -> int:
    """Kill each kind of work that often; an AssertionError says what was torn or lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("kind", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all without a name")
    arguments = parser.parse_args()
    for kind in arguments.kind or KINDS:
        began = time.perf_counter()
        met, longest = kill_often(kind, arguments.tries, arguments.seed)
        print(
            f"{kind:10} {arguments.tries:5} tries in the first {longest:.1f} s, {met} at work, nothing torn or lost "
            f"({time.perf_counter() - began:.0f} s)",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
