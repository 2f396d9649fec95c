"""``tdvfsh verify``."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.exec import time_limit
from tdvfsh.cli.files import named_files
from tdvfsh.cli.output import print_json, print_lines


def run_verify(arguments: Arguments) -> int:
    """The model against the kernel's real stub. Exit status 0 where they agree, 1 where they differ."""
    from tdvfsh.engine.extra import cpu_extra

    cpu_extra("unicorn")
    from tdvfsh.engine.verify import verification_dict, verification_lines, verify

    with named_files(arguments) as (_, opened):
        violation_ve = arguments.text("violation") == "ve"
        result = verify(arguments.td_options(), opened.boot, violation_ve, time_limit(arguments))
        if arguments.flag("json"):
            print_json(verification_dict(result))
        else:
            print_lines(verification_lines(result))
    return 0 if result.agrees else 1
