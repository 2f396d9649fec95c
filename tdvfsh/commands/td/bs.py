"""``bs``: any boot service by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from tdvfsh.commands.td.bs_services import (
    SERVICES,
    Call,
    Outcome,
    Service,
    allocate_type_words,
    memory_type_words,
    service_named,
    usage,
)
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import BadArgument, Kind
from tdvfsh.shell.machine_binding import connect_drives, machine_of

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

ServiceName = Annotated[str, Kind("service", lambda word: word)]
ServiceArgument = Annotated[str, Kind("service_argument", lambda word: word)]


@command("bs", profile="td")
def bs(shell: Shell, service: ServiceName, *arguments: ServiceArgument) -> int:
    """Call a boot service by hand.

    SYNOPSIS:
        bs service [argument...]

    OPTIONS:
        service: Its name in the specification, in any case.
        argument: Its parameters in the specification's order; numbers are hex, or sizes such as 16M.

    DESCRIPTION:
        Types have the specification's names (AnyPages, MaxAddress, Address; LoaderData, BootServicesCode ...) or
        numbers. Protocols and tables have names such as LoadedImage, or are GUIDs. Handles are the numbers that dh
        shows. A wrong name is answered with those that there are.

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
    found = service_named(service)
    if found is None:
        names = ", ".join(one.name for one in SERVICES)
        shell.print(f"bs: '{service}' is no boot service; there are: {names}\n")
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


def _argument_words(shell: Shell) -> Iterable[str]:
    """Words that may stand behind a service: types, protocols, and the files of the current directory."""
    from tdvfsh.commands.firmware.protocol_names import protocol_names

    files = [item.name for item in shell.find_files("*") if not item.info.is_directory] if shell.current else []
    return [*allocate_type_words(), *memory_type_words(), *protocol_names(), *files]


def _add_completions() -> None:
    from tdvfsh.shell.command.completion import add_provider

    add_provider("service", lambda shell: [service.name for service in SERVICES])
    add_provider("service_argument", _argument_words)


_add_completions()
