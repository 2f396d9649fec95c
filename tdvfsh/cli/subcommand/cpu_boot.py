"""``tdvfsh boot --engine cpu``: the kernel's real stub, a real GRUB, and with ``--through-os`` the real kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.debug import Debugging, debugging
from tdvfsh.cli.drives import Drives, opened_drives
from tdvfsh.cli.files import fetch_with, named_file
from tdvfsh.cli.output import TextSink, print_notes
from tdvfsh.cli.progress import unpack_progress
from tdvfsh.cli.run_limits import time_limit, until_pattern
from tdvfsh.cli.run_status import run_status
from tdvfsh.cli.saved_boot import BootWords, check_saving, refuse_lost_files, save_boot_machine
from tdvfsh.cli.saving import Saving
from tdvfsh.cli.serial_console import SerialOutput, serial_input
from tdvfsh.cli.virtio import given_virtio, refuse_unsaved, virtio_parts
from tdvfsh.engine.console.screen import Screen, TranscriptDisplay
from tdvfsh.engine.console.serial_input import TypedAtTerminal
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.os_run import GIVEN_UP, OsRun, SystemOptions
from tdvfsh.errors import UsageError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.images.named import PROGRAM
from tdvfsh.lazy_typing import TYPE_CHECKING, Any, NamedTuple
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.nvram import NvramFile

if TYPE_CHECKING:
    from tdvfsh.engine.errors import EngineError
    from tdvfsh.engine.runs.boot_run import CpuBoot


class RealCodeReport(NamedTuple):
    """Results that only real code has: whether its operating system ended well, lines, and members of the JSON."""

    succeeded: bool
    lines: list[str]
    data: dict[str, Any]


def boot_on_processor(
    arguments: Arguments, files: BootFiles, words: BootWords | None = None
) -> tuple[BootResult, RealCodeReport]:
    """Boot, or run a saved machine on; what the programs print goes to standard error, as it comes.

    Args:
        arguments: The command line, with the devices of a saved machine.
        files: What is booted.
        words: The saved machine, or a disk; None for a boot of the kernel that the command line names.

    Raises:
        UsageError: Options that do not belong together.
    """

    grub = arguments.optional("grub")
    grub_file = named_file(grub, PROGRAM).path if grub is not None else None
    grub_view = open_mapped(grub_file).view if grub_file is not None else None
    refused = "" if arguments.optional("nvram") is None else "the boot changes its --nvram file"
    if words is None:
        words = _words(arguments)
    if arguments.optional("save") is not None or words.saved is not None:
        refuse_unsaved(arguments)
    with debugging(arguments) as debug:
        ran = debug.repeated(lambda: _boot(words, files, grub_view, debug), refused)
        debug.exited(0 if ran.succeeded else 1)
    result = ran.result
    if result.violation is not None and not arguments.flag("json"):
        print_notes(result.violation.lines())
    return result, _report(result, ran.succeeded)


class _Ran(NamedTuple):
    """A boot's outcome, and whether it ended as it should."""

    result: CpuBootResult
    succeeded: bool


def _words(arguments: Arguments) -> BootWords:
    """What the command line asks for; its files are looked for again, where they are by now."""
    from tdvfsh.images.named import files_named

    options = arguments.td_options()
    check_saving(arguments, options)
    with unpack_progress() as progress:
        kernel, initrds = files_named(arguments.text("kernel"), arguments.words("initrd"), fetch_with(progress))
    words = BootWords(
        kernel=kernel.path,
        initrds=[file.path for file in initrds],
        cmdline=arguments.text("cmdline"),
        disks=arguments.words("disk"),
        options=options,
        violation_ve=arguments.text("violation") == "ve",
        grub=arguments.optional("grub") is not None,
        arguments=arguments,
    )
    refuse_lost_files(words)
    return words


def _boot(words: BootWords, files: BootFiles, grub: memoryview | None, debug: Debugging) -> _Ran:
    arguments = words.arguments
    nvram, save_to = arguments.optional("nvram"), arguments.optional("save")
    with (
        opened_drives(arguments, debug, words.disks) as drives,
        run_status(shown=debug.session is None and not _is_typed_at(arguments)) as status,
    ):
        console = status.beside(debug.shown(sys.stderr), sys.stderr.isatty())
        screen = Screen(TranscriptDisplay(console))
        saving = None if save_to is None or debug.repeats else Saving(save_to, drives)

        def keep(boot: CpuBoot, error: EngineError) -> None:
            if saving is not None:
                save_boot_machine(saving, boot, words)

        with _system_options(arguments, debug, drives, console) as through_os:
            result = boot_on_cpu(
                words.options,
                files,
                grub,
                screen,
                violation_ve=words.violation_ve,
                time_limit=time_limit(arguments),
                through_os=through_os,
                fast_decompress=arguments.flag("fast_decompress"),
                debugger=debug,
                nvram=None if nvram is None else NvramFile(nvram),
                keep=None if saving is None else keep,
                resume=words.saved,
                progress=status,
                from_disk=words.from_disk,
            )
            status.end()
            screen.close()
        run, saved = result.os_run, saving is not None and saving.done
        if saving is not None:
            saving.not_saved("before the kernel ran" if run is None else run.ending)
        if not debug.repeats:
            print_notes([*(saving.lines if saving is not None else ()), *drives.close(_is_aborted(run), saved)])
    succeeded = saved if saving is not None else run is None or run.succeeded
    return _Ran(result, result.booted and succeeded)


def _is_typed_at(arguments: Arguments) -> bool:
    """Whether a user types at the console of the operating system."""
    return arguments.flag("console") and sys.stdin is not None and sys.stdin.isatty()


def _is_aborted(run: OsRun | None) -> bool:
    return run is None or run.ending == GIVEN_UP


def _report(result: CpuBootResult, succeeded: bool) -> RealCodeReport:
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
    return RealCodeReport(succeeded, lines, data)


@contextmanager
def _system_options(
    arguments: Arguments, debug: Debugging, drives: Drives, console: TextSink
) -> Iterator[SystemOptions | None]:
    until, drop = arguments.optional("until"), arguments.optional("drop_accept")
    typed = arguments.flag("console")
    if not arguments.flag("through_os"):
        given = (
            (until is not None, "--until"), (drop is not None, "--drop-accept"), (typed, "--console"),
            (bool(arguments.words("disk")), "--disk"), (arguments.flag("commit"), "--commit"),
            (arguments.optional("save") is not None, "--save"),
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
        serial = SerialOutput(console, raw=at_terminal)
        if at_terminal:
            debug.repeats_not("a user types at its console")
        try:
            with virtio_parts(arguments, drives, serial.write, pattern, debug) as virtio:
                yield SystemOptions(serial.write, pattern, number, source, virtio)
        finally:
            serial.close()
