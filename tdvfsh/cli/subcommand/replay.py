"""``tdvfsh replay``."""

from __future__ import annotations

from pathlib import Path

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines, print_notes
from tdvfsh.report.schema import document
from tdvfsh.report.table import printable
from tdvfsh.session.replay import replay


def run_replay(arguments: Arguments) -> int:
    """Run transcripts again; a unified diff where one differs, and then exit status 1 unless it was rewritten."""
    differ, told = 0, print_notes if arguments.flag("json") else print_lines
    rows: list[dict[str, object]] = []
    for name in arguments.words("transcripts"):
        found = replay(Path(name), outside=arguments.flag("outside"), write=arguments.flag("fs0_write"))
        if found.agrees:
            told([f"{name}: {found.steps} steps, byte for byte as recorded"])
        elif arguments.flag("update"):
            found.update()
            told([f"{name}: {found.steps} steps, rewritten"])
        else:
            differ += 1
            told([*map(printable, found.diff_lines()), f"{name}: differs"])
        updated = arguments.flag("update") and not found.agrees
        rows.append({"file": name, "steps": found.steps, "agrees": found.agrees, "updated": updated})
    if arguments.flag("json"):
        print_json(document("replay", {"transcripts": rows}))
    return 1 if differ else 0
