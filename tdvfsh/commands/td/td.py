"""``td``: show the trust domain, or make another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import NO_VALUES, Flag, Kind, TdValues
from tdvfsh.shell.host_files import options_with
from tdvfsh.shell.machine_binding import machine_of, new_machine
from tdvfsh.shell.processor import ENGINES, choose_engine

if TYPE_CHECKING:
    from tdvfsh.machine import Machine
    from tdvfsh.shell.shell import Shell


def _word(word: str) -> object:
    return word


EngineName = Annotated[str, Kind("engine", _word)]


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
) -> ShellStatus:
    """Show the trust domain, or make another.

    SYNOPSIS:
        td [-engine model|cpu] [-sfo | -v | -verbose]
        td new [TD options]

    OPTIONS:
        -sfo: Print Standard-Format Output.
        -v, -verbose: Print the cost model as well: constants, ranges and sources.
        -engine: Whether images really run: cpu starts them on a processor (an optional extra), model does not.
        new: Make another TD, which takes the place of this one; what is not given stays as it was.
        [TD options]

    DESCRIPTION:
        Times are modelled, never measured. Making a TD costs no more for a large one than for a small one.

        The columns of a TrustDomain row of -sfo are RAM, accepted, unaccepted and shared bytes, bytes accepted at boot,
        vCPUs, GPAW, accept policy, on-demand option, profile, loader, firmware model, virtual nanoseconds, TDCALLs and
        TD exits, all decimal.

    EXAMPLES:
        td
        td -verbose
        td new -memory 2G -accept 512M -on-demand service

    RETURNVALUES:
        SUCCESS: Shown or made.
        INVALID_PARAMETER: There cannot be such a TD; the old one stays.
    """
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

    add_provider("td_action", lambda shell: ("new",))
    add_provider("engine", lambda shell: ENGINES)


_add_completions()
