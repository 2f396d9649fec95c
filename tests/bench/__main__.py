"""``python -m tests.bench [--json] [GROUP...]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

from tests.bench import (
    accepting,
    booting,
    debugging,
    engine,
    headers,
    initrds,
    page,
    pages,
    processes,
    resident,
    sweeping,
)
from tests.bench.measure import Figure
from tests.bench.table import as_json, as_table

GROUPS: Final[dict[str, Callable[[], list[Figure]]]] = {
    "process": processes.figures,
    "headers": headers.figures,
    "initrd": initrds.figures,
    "pages": pages.figures,
    "accept": accepting.figures,
    "boot": booting.figures,
    "sweep": sweeping.figures,
    "memory": resident.figures,
    "engine": engine.figures,
    "debugger": debugging.figures,
    "page": page.figures,
}


def main() -> int:
    """Measure the groups named, all without a name; 1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("group", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; all by default")
    arguments = parser.parse_args()
    unknown = [group for group in arguments.group if group not in GROUPS]
    if unknown:
        parser.error(f"{unknown[0]}: no such group; there are {', '.join(GROUPS)}")
    found: list[Figure] = []
    for group in arguments.group or GROUPS:
        print(f"measuring {group} …", file=sys.stderr)
        found += GROUPS[group]()
    print(as_json(found) if arguments.json else as_table(found))
    return 1 if any(figure.met_at_full_speed is False for figure in found) else 0


if __name__ == "__main__":
    sys.exit(main())
