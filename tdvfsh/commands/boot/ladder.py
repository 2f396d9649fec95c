"""``ladder``: how much must be accepted at boot for each stage of a boot."""

from __future__ import annotations

from tdvfsh.commands.boot.common import InitrdName, Initrds, KernelName, opened_files, print_json, refuse
from tdvfsh.errors import TdvfshError
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.options.uses import use_of
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import NO_VALUES, Flag, TdValues, Text
from tdvfsh.shell.host_files import options_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tdvfsh.boots.ladder import Rung
    from tdvfsh.machine.options import TdOptions
    from tdvfsh.shell.shell import Shell

_CMDLINE = use_of("ladder").cmdline


@command("ladder", profile="td")
def ladder(
    shell: Shell,
    kernel: KernelName,
    *initrds: InitrdName,
    initrd: Initrds = (),
    cmdline: Text = _CMDLINE,
    options: TdValues = NO_VALUES,
    step: Text = "1M",
    sfo: Flag = False,
    json: Flag = False,
) -> ShellStatus:
    """Find the smallest accepted size with which each stage of a boot is reached.

    SYNOPSIS:
        ladder kernel [initrd...] [-initrd file]... [-cmdline text] [-step size] [-sfo] [-json] [TD options]

    OPTIONS:
        kernel: A Linux kernel.
        initrd: Its initrds, joined in this order.
        -initrd file: Its initrd; several are joined in order.
        -cmdline text: The kernel's command line (default nokaslr): with KASLR no size is a threshold.
        -step size: Granularity, a multiple of 4K (default 1M).
        -sfo: Print Standard-Format Output.
        -json: Print JSON, as the command line does.
        [TD options]

    DESCRIPTION:
        Each rung is found by halving: with that size the stage is reached, with one step less it is not. Where an
        option also reaches a stage with a smaller size, a line says so.

        The columns of a Rung row of -sfo are stage, bytes (empty: never), meaning, and such a smaller size in bytes.

    EXAMPLES:
        ladder -memory 2G fs1:\\installer-13\\linux fs1:\\installer-13\\initrd.gz

    RETURNVALUES:
        SUCCESS: Found.
        INVALID_PARAMETER: An invalid option or step.
    """
    from tdvfsh.boots.ladder import ladder as climb
    from tdvfsh.report.boots.ladder_text import ladder_dict, ladder_heading, ladder_lines, ladder_sfo
    from tdvfsh.units import parse_size

    given = dict(options)
    loaders = str(given.pop("loader")).split(",") if "loader" in given else []
    try:
        wanted = [options_with(shell, "ladder", {**given, "loader": name}) for name in loaders]
        wanted = wanted or [options_with(shell, "ladder", given)]
        with opened_files(shell, kernel, (*initrds, *initrd), cmdline) as opened:
            ladders: list[tuple[TdOptions, Sequence[Rung]]] = []
            for number, chosen in enumerate(wanted):
                rungs = climb(chosen, opened.boot, parse_size(step), lambda boots: shell.checkpoint())
                if json:
                    ladders.append((chosen, rungs))
                    continue
                lines = ladder_sfo(rungs) if sfo else ladder_lines(rungs)
                if len(wanted) > 1 and not sfo:
                    lines = [*[""] * bool(number), ladder_heading(chosen, cmdline), *lines]
                shell.print("".join(f"{line}\n" for line in lines))
            if json:
                print_json(shell, ladder_dict(ladders))
    except TdvfshError as error:
        return refuse(shell, "ladder", error)
    return ShellStatus.SUCCESS
