"""``tdvfsh verify``."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.files import named_files
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.cli.run_limits import time_limit
from tdvfsh.errors import UsageError
from tdvfsh.report.schema import document


def run_verify(arguments: Arguments) -> int:
    """The model against the kernel's real stub, and the shortcut against the slow path.

    Exit status 0 where they agree, 1 where they differ or the shortcut that was asked for was not taken.
    """
    from tdvfsh.engine.extra import cpu_extra

    cpu_extra("unicorn")
    if arguments.optional("firmware") is not None:
        return _verify_firmware(arguments)
    if arguments.optional("kernel") is None:
        raise UsageError("verify: needs a KERNEL, or --firmware FILE")
    from tdvfsh.cli.run_status import run_status
    from tdvfsh.engine.runs.verify import verification_dict, verification_lines, verify

    with named_files(arguments) as (_, opened), run_status() as status:
        options, violation_ve, limit = (
            arguments.td_options(),
            arguments.text("violation") == "ve",
            time_limit(arguments),
        )
        result = verify(options, opened.boot, violation_ve, limit, status)
        agrees, data, lines = result.agrees, verification_dict(result), verification_lines(result)
        if arguments.flag("fast_decompress"):
            from tdvfsh.engine.runs.verify_shortcut import verify_shortcut
            from tdvfsh.report.boots.shortcut_text import shortcut_verification_dict, shortcut_verification_lines

            shortcut = verify_shortcut(result.real, options, opened.boot, violation_ve, limit, status)
            agrees = agrees and shortcut.agrees
            data["shortcut"] = shortcut_verification_dict(shortcut)
            lines += shortcut_verification_lines(shortcut)
        status.end()
        if arguments.flag("json"):
            print_json(document("verify", data))
        else:
            print_lines(lines)
    return 0 if agrees else 1


def _verify_firmware(arguments: Arguments) -> int:
    """The model against real firmware, which boots KERNEL where one is given."""
    from contextlib import ExitStack

    from tdvfsh.cli.run_status import run_progress
    from tdvfsh.engine.board.limit import RunLimit
    from tdvfsh.engine.firmware.image import open_firmware
    from tdvfsh.engine.firmware.verify import comparison_dicts, comparison_lines, verify_firmware

    chosen = {} if arguments.is_given("accept") else {"accept": "below-4g"}
    options = arguments.td_options(**chosen)
    if not options.td or options.firmware is None:
        raise UsageError("verify --firmware: firmware is held against the model of a TD; leave --no-td out")
    with ExitStack() as stack:
        files = None
        if arguments.optional("kernel") is not None:
            files = stack.enter_context(named_files(arguments))[1].boot
        image = stack.enter_context(open_firmware(options.firmware))
        limit = stack.enter_context(RunLimit(time_limit(arguments)))
        stack.enter_context(run_progress(limit))
        found = verify_firmware(image, options, files, limit)
    if arguments.flag("json"):
        from tdvfsh.machine.start import start_of

        settled = start_of(options).settled(options)
        agrees = all(each.agrees for each in found)
        compared = {"agrees": agrees, "compared": comparison_dicts(found)}
        print_json(document("verify-firmware", {"firmware": options.firmware, "td": settled.as_dict(), **compared}))
    else:
        print_lines(comparison_lines(found))
    return 0 if all(each.agrees for each in found) else 1
