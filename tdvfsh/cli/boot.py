"""``tdvfsh boot``."""

from __future__ import annotations

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import print_json, print_lines
from tdvfsh.cli.progress import unpack_progress
from tdvfsh.machine.boot import boot
from tdvfsh.machine.files import open_boot_files


def run_boot(arguments: Arguments) -> int:
    """One boot: a story, or the contract's JSON. Exit status 0 where the operating system was reached, else 1."""
    options = arguments.td_options()
    with (
        unpack_progress() as progress,
        open_boot_files(
            arguments.text("kernel"), arguments.words("initrd"), arguments.text("cmdline"), progress
        ) as opened,
    ):
        result = boot(options, opened.boot)
        if arguments.flag("json"):
            from tdvfsh.report.boot_json import boot_dict

            print_json(boot_dict(result, opened.initrds))
        else:
            from tdvfsh.report.boot_text import story_lines

            print_lines(story_lines(result, opened.initrds))
    return 0 if result.booted else 1
