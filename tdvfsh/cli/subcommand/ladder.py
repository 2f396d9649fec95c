"""``tdvfsh ladder``."""

from __future__ import annotations

from tdvfsh.boots.ladder import ladder
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import named_files
from tdvfsh.cli.output import print_json, print_lines


def run_ladder(arguments: Arguments) -> int:
    """The smallest accepted size for each stage of each loader, as tables or as JSON."""
    from tdvfsh.report.boots.ladder_text import ladder_dict, ladder_heading, ladder_lines
    from tdvfsh.units import parse_size

    step = parse_size(arguments.text("step"))
    loaders = arguments.axis("loader") or ["direct"]
    with named_files(arguments) as (_, opened):
        machines = [arguments.td_options(loader=loader) for loader in loaders]
        ladders = [(options, ladder(options, opened.boot, step)) for options in machines]
    if arguments.flag("json"):
        print_json(ladder_dict(ladders))
        return 0
    for number, (options, rungs) in enumerate(ladders):
        heading = ladder_heading(options, arguments.text("cmdline"))
        print_lines([*([""] if number else []), heading, *ladder_lines(rungs)])
    return 0
