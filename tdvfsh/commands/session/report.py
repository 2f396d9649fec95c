"""``report``: what happened as a page or a drawing."""

from __future__ import annotations

from tdvfsh.commands.boot.boot import last_boot
from tdvfsh.commands.td.measure import last_measurement
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.report.boots.compare_text import ComparedRow
    from tdvfsh.shell.shell import Shell
    from tdvfsh.trace.file import TraceFile


@command("report", profile="td")
def report(
    shell: Shell,
    *,
    o: FilePath = "report.html",
    td: Flag = False,
    compare: Flag = False,
) -> ShellStatus:
    """Write what happened as a page for a browser, or as a drawing.

    SYNOPSIS:
        report [-o file] [-td] [-compare]

    OPTIONS:
        -o file: Where to: file.html, one page with everything in it, or file.svg. report.html without it.
        -td: The shell's own TD, even if something was booted.
        -compare: Also boot the same files under every policy and option, side by side.

    DESCRIPTION:
        Shows the last boot where there was one, else the shell's own TD: the address space to scale, how it came to be
        call by call, the steps, what was accepted when and by which caller, and what 'td measure' ran last. The page
        works offline. It needs the report extra (pip install 'tdvfsh[report]'); the drawing does not. FS0: can be
        written to where tdvfsh was started with --fs0-write.

    EXAMPLES:
        report -o fs0:\\boot.html -compare
        report -o map.svg

    RETURNVALUES:
        SUCCESS: Written.
        INVALID_PARAMETER: The name ends neither in .html nor in .svg.
        WRITE_PROTECTED: The drive cannot be written to.
    """
    from tdvfsh.boots.explanation import cures_of
    from tdvfsh.report.report_file import check_form, report_text
    from tdvfsh.report.trace_file import trace_of_boot, trace_of_machine

    check_form(o)
    booted = None if td else last_boot(shell)
    file: TraceFile
    compared: list[ComparedRow] = []
    if booted is None:
        file = trace_of_machine(machine_of(shell))
    else:
        file = trace_of_boot(booted, cures=cures_of(booted))
        if compare:
            from tdvfsh.boots.compare import compared_boots
            from tdvfsh.report.boots.compare_text import compared_rows, policies_around

            options = booted.machine.options
            boots = compared_boots(
                options,
                booted.files,
                policies_around(options.accept.name),
                loaders=(options.loader,),
                progress=lambda done, total: shell.checkpoint(),
            )
            compared = compared_rows(boots)
    measured = last_measurement(shell)
    found = None
    if measured is not None:
        from tdvfsh.report.measure_text import measure_dict

        found = measure_dict(measured.firmware, measured.options, measured.build, measured)
    return _write(shell, o, report_text(o, file, compared, found).encode())


def _write(shell: Shell, path: str, data: bytes) -> ShellStatus:
    located = shell.locate(path)
    try:
        if located is None or not located[1]:
            raise FileSystemError(EfiStatus.EFI_INVALID_PARAMETER)
        located[0].drive.filesystem.save(located[1], (data,))
    except FileSystemError as error:
        hint = "; start tdvfsh with --fs0-write" if error.status is EfiStatus.EFI_WRITE_PROTECTED else ""
        shell.print(f"report: {path}: {error.status.phrase}{hint}\n")
        return ShellStatus(error.status.code)
    shell.print(f"report: {shell.full_path(path)} written, {len(data):,} bytes\n")
    return ShellStatus.SUCCESS
