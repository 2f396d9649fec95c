"""``ladder``: how much must be accepted at boot for each stage of a boot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from tdvfsh.commands.boot.common import boot_options, host_path, refuse
from tdvfsh.errors import TdvfshError
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag, Option, Text

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@command("ladder", profile="td")
def ladder(
    shell: Shell,
    kernel: FilePath,
    *initrds: FilePath,
    cmdline: Annotated[Text, Option("-cmdline")] = "nokaslr",
    memory: Annotated[Text, Option("-memory")] = "",
    on_demand: Annotated[Text, Option("-on-demand")] = "",
    loader: Annotated[Text, Option("-loader")] = "",
    firmware_model: Annotated[Text, Option("-firmware-model")] = "",
    step: Annotated[Text, Option("-step")] = "1M",
    sfo: Flag = False,
) -> ShellStatus:
    """Find the smallest accepted size with which each stage of a boot is reached.

    SYNOPSIS:
        ladder [-memory size] [-on-demand option] [-loader flow] [-firmware-model name]
               [-cmdline text] [-step size] [-sfo] kernel [initrd...]

    OPTIONS:
        -memory: RAM; else as the shell's TD.
        -on-demand: none, allocator, loader, loader-literal, service; else as the shell's TD.
        -loader: The flow; else as the shell's TD.
        -firmware-model: Recorded firmware; else as the shell's TD.
        -cmdline: The kernel's command line, 'nokaslr' unless given: with KASLR no size is a threshold.
        -step: Granularity, a multiple of 4K; 1M without it.
        -sfo: Print Standard-Format Output.

    DESCRIPTION:
        Each rung is found by halving: with that size the stage is reached, with one step less it is not. Where an
        option reaches a stage with a smaller size as well, that is said.

        The columns of a Rung row of -sfo are stage, bytes (empty: never), meaning, and such a smaller size in bytes.

    EXAMPLES:
        ladder -memory 2G fs1:\\installer-13\\linux fs1:\\installer-13\\initrd.gz

    RETURNVALUES:
        SUCCESS: Found.
        INVALID_PARAMETER: An option or a step that cannot be.
    """
    from tdvfsh.boots.ladder import ladder as climb
    from tdvfsh.boots.open_files import open_boot_files
    from tdvfsh.report.ladder_text import ladder_lines, ladder_sfo
    from tdvfsh.units import parse_size

    try:
        options = boot_options(shell, memory=memory, on_demand=on_demand, loader=loader, firmware_model=firmware_model)
        names = (kernel, *initrds)
        paths = [host_path(shell, path) for path in names]
        with open_boot_files(paths[0], paths[1:], cmdline, names=names) as opened:
            rungs = climb(options, opened.boot, parse_size(step), lambda boots: shell.checkpoint())
    except TdvfshError as error:
        return refuse(shell, "ladder", error)
    for line in ladder_sfo(rungs) if sfo else ladder_lines(rungs):
        shell.print(f"{line}\n")
    return ShellStatus.SUCCESS
