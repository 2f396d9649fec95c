"""``tdvfsh replay``."""

from __future__ import annotations

from pathlib import Path

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_lines
from tdvfsh.report.table import printable
from tdvfsh.session.replay import replay


def run_replay(arguments: Arguments) -> int:
    """Run transcripts again; a unified diff where one differs, and then exit status 1 unless it was rewritten."""
    differ = 0
    for name in arguments.words("transcripts"):
        found = replay(Path(name), outside=arguments.flag("outside"), write=arguments.flag("fs0_write"))
        if found.agrees:
            print_lines([f"{name}: {found.steps} steps, byte for byte as recorded"])
        elif arguments.flag("update"):
            found.update()
            print_lines([f"{name}: {found.steps} steps, rewritten"])
        else:
            differ += 1
            print_lines([*map(printable, found.diff_lines()), f"{name}: differs"])
    return 1 if differ else 0
