"""``bs``: any boot service by hand."""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.commands.td.bs_services import (
    SERVICES,
    Call,
    Outcome,
    Service,
    allocate_type_words,
    service_named,
    usage,
)
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.completion import add_place, add_provider
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.suggest import did_you_mean
from tdvfsh.shell.command.types import BadArgument, Kind
from tdvfsh.shell.machine_binding import connect_drives, machine_of, running_machine

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

ServiceName = Annotated[str, Kind("service", lambda word: word)]
ServiceArgument = Annotated[str, Kind("service_argument", lambda word: word)]


@command("bs", profile="td")
def bs(shell: Shell, service: ServiceName | None = None, *arguments: ServiceArgument) -> int:
    """Call a boot service by hand.

    SYNOPSIS:
        bs [service [argument...]]

    OPTIONS:
        service: Its name in the specification, in any case.
        argument: Its parameters in the specification's order; numbers are hex, or sizes such as 16M.

    DESCRIPTION:
        Types have the specification's names (AnyPages, MaxAddress, Address; LoaderData, BootServicesCode ...) or
        numbers. Protocols and tables have names such as LoadedImage, or are GUIDs. Handles are the numbers that dh
        shows. Without a service all are listed with their parameters, optional ones in brackets.

        GetMemoryMap without a size takes a buffer that is large enough; its MapKey is what ExitBootServices wants.
        LoadImage takes a file instead of a device path. AcceptMemory is the service that option 3 of the Lazy Page
        Accept RFC adds.

        Status and results are printed, the status becomes lasterror.

    EXAMPLES:
        bs AllocatePages AnyPages LoaderData 10
        bs AllocatePages Address LoaderData 100 1000000
        bs GetMemoryMap
        bs AcceptMemory 512M 256M

    RETURNVALUES:
        What the service returns; INVALID_PARAMETER also where the words do not fit it.
    """
    if service is None:
        for one in SERVICES:
            shell.print(f"{usage(one)}\n")
        return ShellStatus.SUCCESS
    found = service_named(service)
    if found is None:
        hint = did_you_mean(service, (one.name for one in SERVICES)) or "'bs' lists them"
        shell.print(f"bs: '{service}' is not a boot service; {hint}\n")
        return ShellStatus.INVALID_PARAMETER
    try:
        values = _read_arguments(found, arguments)
    except BadArgument as error:
        shell.print(f"bs: {error}\n")
        return ShellStatus.INVALID_PARAMETER
    machine = machine_of(shell)
    connect_drives(shell, machine)
    outcome: Outcome = found.run(Call(shell, machine, machine.services), *values)
    _print(shell, outcome)
    return outcome.status.code


def _read_arguments(service: Service, words: tuple[str, ...]) -> list[object]:
    parameters = service.parameters
    required = sum(not one.optional for one in parameters)
    if not required <= len(words) <= len(parameters):
        which = "few" if len(words) < required else "many"
        raise BadArgument(f"Too {which} arguments: {usage(service)}")
    values: list[object] = []
    for parameter, word in zip(parameters, words, strict=False):
        try:
            values.append(parameter.read(word))
        except BadArgument:
            raise BadArgument(f"{service.name}: {parameter.name} '{word}' is not {parameter.what}") from None
    return values + [parameter.default for parameter in parameters[len(words) :]]


def _print(shell: Shell, outcome: Outcome) -> None:
    shell.print(f"Status: {outcome.status.phrase}\n")
    width = max((len(name) for name, _ in outcome.results), default=0)
    for name, value in outcome.results:
        shell.print(f"  {name:<{width}}  {value}\n")
    if outcome.remark:
        shell.print(f"  {outcome.remark}\n")


def _argument_kind(words: list[str]) -> str | None:
    """What the next word of ``bs`` is, after the service and the arguments before the cursor."""
    service = service_named(words[0]) if words else None
    place = len(words) - 1
    return service.parameters[place].kind if service is not None and place < len(service.parameters) else None


def _add_completions() -> None:
    add_provider("service", lambda shell: [service.name for service in SERVICES])
    add_place("service_argument", _argument_kind)
    add_provider("allocate_type", lambda shell: allocate_type_words())
    add_provider("map_key", _map_key)


def _map_key(shell: Shell) -> Iterable[str]:
    machine = running_machine(shell)
    return [] if machine is None else [f"{machine.services.core.memory_map.key:#x}"]


_add_completions()
