"""``tdvfsh plot``."""

from __future__ import annotations

from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.region import region
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import named_files
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.errors import UsageError


def run_plot(arguments: Arguments) -> int:
    """Where each option boots, along the initrd's size or along what is accepted at boot."""
    from tdvfsh.report.boots.region_text import region_dict, region_lines
    from tdvfsh.units import parse_size

    first, last, step = (parse_size(arguments.text(name)) for name in ("first", "last", "step"))
    if not step or last < first:
        raise UsageError("--from, --to and --step: sizes that ascend, and a step that is not 0")
    names = arguments.axis("on_demand") or list(ON_DEMAND_NAMES)
    options = arguments.td_options(on_demand=names[0])
    with named_files(arguments, own_initrd=arguments.text("over") != "initrd") as (progress, opened):
        found = region(
            options,
            opened.boot,
            arguments.text("over"),
            range(first, last + 1, step),
            names,
            lambda done, total: progress.count("boots", done, total),
        )
    if arguments.flag("json"):
        print_json(region_dict(found))
    else:
        print_lines(region_lines(found))
    return 0
