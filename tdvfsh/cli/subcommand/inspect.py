"""``tdvfsh inspect``."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import named_file
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.cli.progress import unpack_progress
from tdvfsh.formats.inspect import inspect_file
from tdvfsh.images.named import ANY
from tdvfsh.report.schema import document


def run_inspect(arguments: Arguments) -> int:
    """What a file is, in readable form or as the contract's JSON."""
    path = named_file(arguments.text("file"), ANY).path
    with unpack_progress() as progress:
        facts = inspect_file(path, lambda done, total: progress(path, done, total), arguments.unpack_limits())
    if arguments.flag("json"):
        print_json(document("inspect", facts))
    else:
        from tdvfsh.report.inspect_text import inspect_lines

        print_lines(inspect_lines(facts))
    return 0
