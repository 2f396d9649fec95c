"""``tdvfsh compare``."""

from __future__ import annotations

from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.compare import COMPARED_ACCEPTS, COMPARED_LOADERS, compared_boots
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import named_files
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.options.uses import use_of


def run_compare(arguments: Arguments) -> int:
    """Every combination of the axes as a table, in standard format or as JSON; one value each where none was given."""
    from tdvfsh.report.boots.compare_text import compare_dict, compare_lines, compare_sfo, compared_rows
    from tdvfsh.units import parse_size

    axes = {name: arguments.axis(name) or [] for name in use_of("compare").several}
    options = arguments.td_options(**{name: values[0] for name, values in axes.items() if values})
    with named_files(arguments) as (progress, opened):
        rows = compared_rows(
            compared_boots(
                options,
                opened.boot,
                axes["accept"] or COMPARED_ACCEPTS,
                axes["on_demand"] or ON_DEMAND_NAMES,
                axes["loader"] or COMPARED_LOADERS,
                lambda done, total: progress.count("boots", done, total),
                [parse_size(size) for size in axes["memory"]],
                axes["firmware_model"],
            )
        )
    if arguments.flag("json"):
        print_json(compare_dict(rows))
    else:
        print_lines(compare_sfo(rows) if arguments.flag("sfo") else compare_lines(rows))
    return 0
