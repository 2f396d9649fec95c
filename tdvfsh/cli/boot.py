"""``tdvfsh boot``."""

from __future__ import annotations

import sys

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.cli.progress import unpack_progress
from tdvfsh.machine.boot import BootResult, boot
from tdvfsh.machine.files import OpenedFiles, open_boot_files


def run_boot(arguments: Arguments) -> int:
    """One boot: a story, or the contract's JSON. Exit status 0 where the operating system was reached, else 1."""
    options = arguments.td_options()
    with (
        unpack_progress() as progress,
        open_boot_files(
            arguments.text("kernel"),
            arguments.words("initrd"),
            arguments.text("cmdline"),
            progress,
            limits=arguments.unpack_limits(),
        ) as opened,
    ):
        result = boot(options, opened.boot) if arguments.text("engine") == "model" else _boot_on_cpu(arguments, opened)
        _write_trace(arguments.optional("trace"), result, opened)
        if arguments.flag("json"):
            from tdvfsh.report.boot_json import boot_dict

            print_json(boot_dict(result, opened.initrds))
        else:
            from tdvfsh.report.boot_text import story_lines

            print_lines(story_lines(result, opened.initrds))
    return 0 if result.booted else 1


def _write_trace(path: str | None, result: BootResult, opened: OpenedFiles) -> None:
    if path is not None:
        from tdvfsh.report.trace_file import trace_of_boot, write_trace_file

        write_trace_file(path, trace_of_boot(result, opened.initrds))


def _boot_on_cpu(arguments: Arguments, opened: OpenedFiles) -> BootResult:
    """The kernel's real stub, or a real GRUB; what they print goes to standard error, as it comes."""
    from tdvfsh.cli.exec import time_limit
    from tdvfsh.engine.boot import boot_on_cpu
    from tdvfsh.engine.screen import Screen, TranscriptDisplay
    from tdvfsh.formats.mapped import open_mapped

    grub = arguments.optional("grub")
    screen = Screen(TranscriptDisplay(sys.stderr))
    result = boot_on_cpu(
        arguments.td_options(),
        opened.boot,
        open_mapped(grub).view if grub is not None else None,
        screen,
        violation_ve=arguments.text("violation") == "ve",
        time_limit=time_limit(arguments),
    )
    screen.close()
    if result.violation is not None and not arguments.flag("json"):
        print("\n".join(result.violation.lines()), file=sys.stderr)
    return result
