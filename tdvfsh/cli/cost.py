"""``tdvfsh cost``: the constants of the cost model, and fitting them to what was measured."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines


def run_cost(arguments: Arguments) -> int:
    """Show the model that ``--cost`` names."""
    from tdvfsh.report.cost_text import cost_lines, cost_object
    from tdvfsh.td.cost import cost_model

    model = cost_model(arguments.td_options().cost)
    if arguments.flag("json"):
        print_json({"schema": "tdvfsh/cost", "schema_version": 1, **cost_object(model)})
    else:
        print_lines(cost_lines(model))
    return 0
