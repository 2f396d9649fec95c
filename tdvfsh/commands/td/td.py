"""``td``: show the trust domain, or make another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Count, Flag, Kind, Option, Text
from tdvfsh.shell.machine_binding import machine_of, new_machine, options_of
from tdvfsh.shell.processor import ENGINES, choose_engine

if TYPE_CHECKING:
    from tdvfsh.machine import Machine, TdOptions
    from tdvfsh.shell.shell import Shell


def _word(word: str) -> object:
    return word


AcceptPolicy = Annotated[str, Kind("accept_policy", _word)]
OnDemandName = Annotated[str, Kind("on_demand", _word)]
ProfileName = Annotated[str, Kind("firmware_profile", _word)]
LoaderName = Annotated[str, Kind("loader", _word)]
EngineName = Annotated[str, Kind("engine", _word)]
FirmwareModelName = Annotated[str, Kind("firmware_model", _word)]


@command("td", profile="td")
def td(
    shell: Shell,
    action: Annotated[str, Kind("td_action", _word)] | None = None,
    *,
    memory: Text | None = None,
    accept: AcceptPolicy | None = None,
    on_demand: OnDemandName | None = None,
    profile: ProfileName | None = None,
    loader: LoaderName | None = None,
    vcpus: Count | None = None,
    gpaw: Count | None = None,
    firmware_model: FirmwareModelName | None = None,
    no_td: Flag = False,
    as_td: Annotated[Flag, Option("-td")] = False,
    engine: EngineName | None = None,
    sfo: Flag = False,
) -> ShellStatus:
    """Show the trust domain, or make another.

    SYNOPSIS:
        td [-engine model|cpu] [-sfo]
        td new [-memory size] [-accept policy] [-on-demand option] [-profile name] [-loader name]
               [-vcpus n] [-gpaw 48|52] [-firmware-model name] [-td|-no-td]

    OPTIONS:
        -sfo: Print Standard-Format Output.
        new: Make another TD, which takes the place of this one; what is not given stays as it was.
        -memory: RAM, as in 2G.
        -accept: What is accepted at boot: eager, below-4g, presize[:size] or a size.
        -on-demand: Who accepts later: none, allocator, loader-literal, loader or service.
        -profile: Generation of firmware's rules: upstream or rfc2021.
        -loader: Boot flow whose firmware state the machine starts in.
        -vcpus, -gpaw: Number of vCPUs; guest physical address width.
        -firmware-model: Recorded firmware whose footprint it has.
        -engine: Whether images really run: cpu starts them on a processor (an optional extra), model does not.
        -td, -no-td: A trust domain, or a plain VM that has all its memory from the start.

    DESCRIPTION:
        Times are modelled, never measured. Making a TD costs no more for a large one than for a small one.

        The columns of a TrustDomain row of -sfo are RAM, accepted, unaccepted and shared bytes, bytes accepted at boot,
        vCPUs, GPAW, accept policy, on-demand option, profile, loader, firmware model, virtual nanoseconds, TDCALLs and
        TD exits, all decimal.

    EXAMPLES:
        td
        td new -memory 2G -accept 512M -on-demand service

    RETURNVALUES:
        SUCCESS: Shown or made.
        INVALID_PARAMETER: There cannot be such a TD; the old one stays.
    """
    given: dict[str, Any] = {
        "memory": memory,
        "accept": accept,
        "on_demand": on_demand,
        "profile": profile,
        "loader": loader,
        "vcpus": vcpus,
        "gpaw": gpaw,
        "firmware_model": firmware_model,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if no_td or as_td:
        changes["td"] = as_td
    if no_td and as_td:
        shell.print("td: Flags conflict with - '-td' and '-no-td'\n")
        return ShellStatus.INVALID_PARAMETER
    if action is not None and action.lower() != "new":
        shell.print(f"td: Invalid argument - '{action}'\n")
        return ShellStatus.INVALID_PARAMETER
    if action is None and changes:
        shell.print("td: Options need 'td new': a TD that exists keeps its own.\n")
        return ShellStatus.INVALID_PARAMETER
    if engine is not None:
        choose_engine(shell, engine.lower())
    machine = machine_of(shell) if action is None else new_machine(shell, _changed(options_of(shell), changes))
    _show(shell, machine, sfo=sfo)
    return ShellStatus.SUCCESS


def _changed(options: TdOptions, changes: dict[str, Any]) -> TdOptions:
    from tdvfsh.accept.boot_time import parse_boot_accept
    from tdvfsh.units import parse_size

    if "memory" in changes:
        changes["memory"] = parse_size(changes["memory"])
    if "accept" in changes:
        changes["accept"] = parse_boot_accept(changes["accept"])
    return replace(options, **changes)


def _show(shell: Shell, machine: Machine, *, sfo: bool) -> None:
    from tdvfsh.report.td_text import td_lines, td_sfo

    shell.print("\n".join(td_sfo(machine) if sfo else td_lines(machine)) + "\n")


def _add_completions() -> None:
    from tdvfsh.shell.command.completion import add_provider

    add_provider("td_action", lambda shell: ("new",))
    add_provider("engine", lambda shell: ENGINES)
    add_provider("accept_policy", lambda shell: ("eager", "below-4g", "presize", "512M", "1G", "2G"))
    add_provider("on_demand", lambda shell: _names("tdvfsh.accept.on_demand", "ON_DEMAND_NAMES"))
    add_provider("firmware_profile", lambda shell: _names("tdvfsh.dxe.profile", "PROFILES"))
    add_provider("loader", lambda shell: _names("tdvfsh.machine.options", "LOADER_NAMES"))
    add_provider("firmware_model", lambda shell: _names("tdvfsh.td.footprint", "FIRMWARE_MODEL_NAMES"))


def _names(module: str, constant: str) -> tuple[str, ...]:
    from importlib import import_module

    return tuple(getattr(import_module(module), constant))


_add_completions()
