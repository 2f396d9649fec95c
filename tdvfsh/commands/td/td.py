"""``td``: show the trust domain, or make another."""

from __future__ import annotations

from tdvfsh.commands.boot.common import Initrds, refuse
from tdvfsh.errors import TdvfshError
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import NO_VALUES, Flag, Kind, TdValues, Text
from tdvfsh.shell.host_files import options_with
from tdvfsh.shell.machine_binding import machine_of, new_machine
from tdvfsh.shell.processor import ENGINES, choose_engine

if TYPE_CHECKING:
    from tdvfsh.machine import Machine
    from tdvfsh.shell.shell import Shell


def _word(word: str) -> object:
    return word


EngineName = Annotated[str, Kind("engine", _word)]
BootedKernel = Annotated[str, Kind("kernel_image", _word)]


@command("td", profile="td")
def td(
    shell: Shell,
    action: Annotated[str, Kind("td_action", _word)] | None = None,
    *,
    options: TdValues = NO_VALUES,
    engine: EngineName | None = None,
    sfo: Flag = False,
    verbose: Flag = False,
    v: Flag = False,
    kernel: BootedKernel | None = None,
    initrd: Initrds = (),
    cmdline: Text = "",
    run: Flag = False,
    json: Flag = False,
) -> ShellStatus:
    """Show the trust domain, make another, or tell what it measures to.

    SYNOPSIS:
        td [-engine model|cpu] [-sfo | -v | -verbose]
        td new [TD options]
        td measure [-kernel file] [-initrd file]... [-cmdline text] [-run] [-json] [TD options]

    OPTIONS:
        -sfo: Print Standard-Format Output.
        -v, -verbose: Print the cost model as well: constants, ranges and sources.
        -engine: Whether images really run: cpu starts them on a processor (an optional extra), model does not.
        new: Make another TD, which takes the place of this one; what is not given stays as it was.
        measure: MRTD of the TD's firmware, and with -kernel or -run RTMRs and event log of running it.
        -kernel file: Boot this kernel, up to ExitBootServices.
        -initrd file: Its initrd; several are joined in order.
        -cmdline text: The kernel's command line.
        -run: Run the firmware without a kernel, too.
        -json: Print JSON, as 'tdvfsh measure' does.
        [TD options]

    DESCRIPTION:
        Times are modelled, never measured. Making a TD costs no more for a large one than for a small one. What 'td
        measure' ran is shown by 'report', too.

        The columns of a TrustDomain row of -sfo are RAM, accepted, unaccepted and shared bytes, bytes accepted at boot,
        vCPUs, GPAW, accept policy, on-demand option, profile, loader, firmware model, virtual nanoseconds, TDCALLs and
        TD exits, all decimal.

    EXAMPLES:
        td
        td -verbose
        td new -memory 2G -accept 512M -on-demand service
        td measure -firmware ovmf-2025.02 -memory 2G -kernel kernel-6.12-cloud

    RETURNVALUES:
        SUCCESS: Shown, made or measured.
        ABORTED: The run did not get as far as it should.
        INVALID_PARAMETER: There cannot be such a TD; the old one stays.
    """
    if action is not None and action.lower() == "measure":
        from tdvfsh.commands.td.measure import measure_td

        try:
            return measure_td(shell, options, kernel, initrd, cmdline, run=run, json=json)
        except TdvfshError as error:
            return refuse(shell, "td", error)
    if kernel is not None or initrd or cmdline or run or json:
        shell.print("td: -kernel, -initrd, -cmdline, -run and -json apply only to 'td measure'\n")
        return ShellStatus.INVALID_PARAMETER
    if action is not None and action.lower() != "new":
        shell.print(f"td: Invalid argument - '{action}'\n")
        return ShellStatus.INVALID_PARAMETER
    if action is None and options:
        shell.print("td: these options apply only to 'td new'\n")
        return ShellStatus.INVALID_PARAMETER
    if engine is not None:
        choose_engine(shell, engine.lower())
    machine = machine_of(shell) if action is None else new_machine(shell, options_with(shell, "td", options))
    _show(shell, machine, sfo=sfo, verbose=verbose or v)
    return ShellStatus.SUCCESS


def _show(shell: Shell, machine: Machine, *, sfo: bool, verbose: bool) -> None:
    from tdvfsh.report.td_text import td_lines, td_sfo

    lines = td_sfo(machine) if sfo else td_lines(machine)
    if verbose and not sfo:
        from tdvfsh.report.cost_text import cost_lines

        lines += ["", *cost_lines(machine.td.cost)]
    shell.print("\n".join(lines) + "\n")


def _add_completions() -> None:
    from tdvfsh.shell.command.completion import add_provider

    add_provider("td_action", lambda shell: ("new", "measure"))
    add_provider("engine", lambda shell: ENGINES)


_add_completions()
