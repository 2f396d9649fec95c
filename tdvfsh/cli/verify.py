"""``tdvfsh verify``."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.exec import time_limit
from tdvfsh.cli.files import named_files
from tdvfsh.cli.output import print_json, print_lines


def run_verify(arguments: Arguments) -> int:
    """The model against the kernel's real stub, and the shortcut against the slow path.

    Exit status 0 where they agree, 1 where they differ or the shortcut that was asked for was not taken.
    """
    from tdvfsh.engine.extra import cpu_extra

    cpu_extra("unicorn")
    from tdvfsh.engine.runs.verify import verification_dict, verification_lines, verify

    with named_files(arguments) as (_, opened):
        options, violation_ve, limit = (
            arguments.td_options(),
            arguments.text("violation") == "ve",
            time_limit(arguments),
        )
        result = verify(options, opened.boot, violation_ve, limit)
        agrees, data, lines = result.agrees, verification_dict(result), verification_lines(result)
        if arguments.flag("fast_decompress"):
            from tdvfsh.engine.runs.verify_shortcut import verify_shortcut
            from tdvfsh.report.shortcut_text import shortcut_verification_dict, shortcut_verification_lines

            shortcut = verify_shortcut(result.real, options, opened.boot, violation_ve, limit)
            agrees = agrees and shortcut.agrees
            data["shortcut"] = shortcut_verification_dict(shortcut)
            lines += shortcut_verification_lines(shortcut)
        if arguments.flag("json"):
            print_json(data)
        else:
            print_lines(lines)
    return 0 if agrees else 1
