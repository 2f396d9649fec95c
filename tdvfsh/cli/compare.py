"""``tdvfsh compare``."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.cli.progress import unpack_progress
from tdvfsh.machine.compare import compare
from tdvfsh.machine.files import open_boot_files


def run_compare(arguments: Arguments) -> int:
    """Every combination of accept policy, loader and option as a table, or as JSON."""
    from tdvfsh.report.compare_text import compare_lines, compared_rows

    options = arguments.td_options()
    with (
        unpack_progress() as progress,
        open_boot_files(
            arguments.text("kernel"), arguments.words("initrd"), arguments.text("cmdline"), progress
        ) as opened,
    ):
        rows = compared_rows(compare(options, opened.boot))
    if arguments.flag("json"):
        print_json([{**row._asdict(), "booted": row.booted} for row in rows])
    else:
        print_lines(compare_lines(rows))
    return 0
