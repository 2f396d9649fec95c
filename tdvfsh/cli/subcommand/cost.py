"""``tdvfsh cost``: the constants of the cost model, and fitting them to what was measured."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdvfsh.machine.options import TdOptions


def run_cost(arguments: Arguments) -> int:
    """Show the model that ``--cost`` names, or fit one."""
    options = arguments.td_options()
    action = arguments.optional("action")
    if action is not None:
        return _fit(arguments, options)
    from tdvfsh.report.cost_text import cost_lines, cost_object
    from tdvfsh.report.schema import document
    from tdvfsh.td.cost import cost_model

    model = cost_model(options.cost)
    if arguments.flag("json"):
        print_json(document("cost", cost_object(model)))
    else:
        print_lines(cost_lines(model))
    return 0


def _fit(arguments: Arguments, options: TdOptions) -> int:
    from tdvfsh.machine.measurement import read_measurements
    from tdvfsh.report.fit_text import fit_file, fit_lines, fit_object
    from tdvfsh.td.cost import cost_model
    from tdvfsh.td.cost.fit import fit
    from tdvfsh.whole_file import write_whole

    output = arguments.optional("output")
    measurements = read_measurements(arguments.words("measurements"), options.cost, options.host_page_size)
    held = [word.partition("=")[0] for word in options.cost[1:]]
    found = fit(cost_model(options.cost), measurements, held, output or "fitted")
    if output is not None:
        write_whole(output, fit_file(found, measurements).encode())
    if arguments.flag("json"):
        print_json(fit_object(found, measurements))
        return 0
    print_lines(fit_lines(found, measurements))
    if output is not None:
        print_lines(["", f"written: {output}; '--cost {output}' uses it"])
    else:
        print_lines(["", "-o FILE.toml writes it as a cost file"])
    return 0
