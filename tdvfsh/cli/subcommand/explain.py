"""``tdvfsh explain``."""

from __future__ import annotations

from tdvfsh.boots.explanation import explain
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import named_files
from tdvfsh.cli.output import print_json, print_lines


def run_explain(arguments: Arguments) -> int:
    """Why a boot ends as it does, and what every option makes of it."""
    from tdvfsh.report.boots.explain import explain_dict, explain_lines

    options = arguments.td_options()
    with named_files(arguments) as (_, opened):
        explanation = explain(boot(options, opened.boot))
        if arguments.flag("json"):
            print_json(explain_dict(explanation, opened.initrds))
        else:
            print_lines(explain_lines(explanation))
    return 0
