"""``tdvfsh boot --engine cpu``: the kernel's real stub, a real GRUB, and with ``--through-os`` the real kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.debug import Debugging, debugging
from tdvfsh.cli.drives import Drives, opened_drives
from tdvfsh.cli.files import named_file
from tdvfsh.cli.output import print_notes
from tdvfsh.cli.run_limits import time_limit, until_pattern
from tdvfsh.cli.serial_console import SerialOutput, serial_input
from tdvfsh.cli.virtio import given_virtio, virtio_parts
from tdvfsh.engine.console.screen import Screen, TranscriptDisplay
from tdvfsh.engine.console.serial_input import TypedAtTerminal
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.os_run import GIVEN_UP, SystemOptions
from tdvfsh.errors import UsageError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.images.named import PROGRAM
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.nvram import NvramFile


class RealCodeReport(NamedTuple):
    """Results that only real code has: whether its operating system ended well, lines, and members of the JSON."""

    succeeded: bool
    lines: list[str]
    data: dict[str, Any]


def boot_on_processor(arguments: Arguments, files: BootFiles) -> tuple[BootResult, RealCodeReport]:
    """Boot; what the programs print goes to standard error, as it comes.

    Raises:
        UsageError: Options that do not belong together.
    """

    grub = arguments.optional("grub")
    grub_file = named_file(grub, PROGRAM).path if grub is not None else None
    grub_view = open_mapped(grub_file).view if grub_file is not None else None
    refused = "" if arguments.optional("nvram") is None else "the boot changes its --nvram file"
    with debugging(arguments) as debug:
        result = debug.repeated(lambda: _boot(arguments, files, grub_view, debug), refused)
        debug.exited(0 if result.booted and (result.os_run is None or result.os_run.succeeded) else 1)
    if result.violation is not None and not arguments.flag("json"):
        print_notes(result.violation.lines())
    return result, _report(result)


def _boot(arguments: Arguments, files: BootFiles, grub: memoryview | None, debug: Debugging) -> CpuBootResult:
    nvram = arguments.optional("nvram")
    screen = Screen(TranscriptDisplay(debug.shown(sys.stderr)))
    with opened_drives(arguments, debug) as drives:
        with _system_options(arguments, debug, drives) as through_os:
            result = boot_on_cpu(
                arguments.td_options(),
                files,
                grub,
                screen,
                violation_ve=arguments.text("violation") == "ve",
                time_limit=time_limit(arguments),
                through_os=through_os,
                fast_decompress=arguments.flag("fast_decompress"),
                debugger=debug,
                nvram=None if nvram is None else NvramFile(nvram),
            )
            screen.close()
        if not debug.repeats:
            print_notes(drives.close(result.os_run is None or result.os_run.ending == GIVEN_UP))
    return result


def _report(result: CpuBootResult) -> RealCodeReport:
    lines: list[str] = []
    data: dict[str, Any] = {}
    if result.shortcut is not None:
        from tdvfsh.report.boots.shortcut_text import shortcut_dict, shortcut_lines

        lines += shortcut_lines(result.shortcut)
        data["shortcut"] = shortcut_dict(result.shortcut)
    if result.os_run is not None:
        from tdvfsh.report.boots.os_run_text import os_run_dict, os_run_lines

        lines += os_run_lines(result)
        data["os"] = os_run_dict(result)
    return RealCodeReport(result.os_run is None or result.os_run.succeeded, lines, data)


@contextmanager
def _system_options(arguments: Arguments, debug: Debugging, drives: Drives) -> Iterator[SystemOptions | None]:
    until, drop = arguments.optional("until"), arguments.optional("drop_accept")
    typed = arguments.flag("console")
    if not arguments.flag("through_os"):
        given = (
            (until is not None, "--until"), (drop is not None, "--drop-accept"), (typed, "--console"),
            (bool(arguments.words("disk")), "--disk"), (arguments.flag("commit"), "--commit"),
            *given_virtio(arguments),
        )  # fmt: skip
        for is_given, name in given:
            if is_given:
                raise UsageError(f"{name}: needs --through-os")
        yield None
        return
    if drop is not None and not (drop.isdecimal() and int(drop)):
        raise UsageError(f"--drop-accept {drop}: not a number from 1")
    pattern, number = until_pattern(arguments), None if drop is None else int(drop)
    with serial_input(sys.stderr, text=debug.typed) if typed else nullcontext() as source:
        at_terminal = isinstance(source, TypedAtTerminal)
        serial = SerialOutput(debug.shown(sys.stderr), raw=at_terminal)
        if at_terminal:
            debug.repeats_not("a user types at its console")
        try:
            with virtio_parts(arguments, drives, serial.write, pattern, debug) as virtio:
                yield SystemOptions(serial.write, pattern, number, source, virtio)
        finally:
            serial.close()
