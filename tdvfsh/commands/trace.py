"""``trace``: the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from tdvfsh.commands.machine import machine_of, running_machine
from tdvfsh.commands.registry import command
from tdvfsh.commands.types import BadArgument, Count, Flag, Kind, Text
from tdvfsh.script.status import ShellStatus
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tdvfsh.commands.shell import Shell

_SHOWN = 40
_ANY_ERROR = "error"


def _read_status(word: str) -> object:
    """A status by name or phrase; ``error`` for any that is one."""
    folded = word.lower().replace(" ", "").replace("_", "").removeprefix("efi")
    if folded == _ANY_ERROR:
        return None
    for status in EfiStatus:
        if folded in (status.short_name.lower().replace("_", ""), status.phrase.lower().replace(" ", "")):
            return status
    raise BadArgument


StatusName = Annotated[EfiStatus | None, Kind("status", _read_status)]
TracedService = Annotated[str, Kind("traced_service", lambda word: word.lower())]


@command("trace", profile="td")
def trace(
    shell: Shell,
    *,
    service: TracedService | None = None,
    status: StatusName | str = "",
    caller: Text | None = None,
    n: Count = _SHOWN,
    tree: Flag = False,
    sfo: Flag = False,
) -> ShellStatus:
    """Show the journal: boot-service calls, accepts and TDCALLs.

    SYNOPSIS:
        trace [-b] [-service name] [-status name] [-caller name] [-n count] [-tree] [-sfo]

    OPTIONS:
        -b: Stop after each screen.
        -service name: Only calls of this service, such as AllocatePages or TDG.MEM.PAGE.ACCEPT.
        -status name: Only calls that ended so, such as OUT_OF_RESOURCES; error for all failures.
        -caller name: Only calls made by shell, firmware, direct, grub2.12, stub, dxe, sec and so on.
        -n count: The last count records; 0 for all. 40 without it.
        -tree: Indent a call below the one that made it.
        -sfo: Print Standard-Format Output.

    DESCRIPTION:
        Times are modelled milliseconds since the machine was built. Numbers are hex, but for counts of TDCALLs and of
        pages accepted, and handles.

        The columns of a Call row of -sfo are number, number of the call that made it (-1: none), nanoseconds, caller,
        service, arguments, status and results.

    EXAMPLES:
        trace -n 10
        trace -status error
        trace -service AllocatePages -tree

    RETURNVALUES:
        SUCCESS: Shown.
        INVALID_PARAMETER: There is no such status.
    """
    from tdvfsh.report.trace_text import trace_lines, trace_sfo

    journal = machine_of(shell).trace
    wanted = [
        record
        for record in journal
        if (service is None or record.service.lower() == service)
        and (caller is None or record.caller.lower() == caller.lower())
        and (status == "" or (record.status is not None and _fits(record.status, status)))
    ]
    shown = wanted[-n:] if n else wanted
    if sfo:
        lines = trace_sfo(shown)
    else:
        lines = [f"{len(shown)} of {len(wanted)} records, {len(journal)} in all"]
        lines += trace_lines(journal, shown, tree=tree) if shown else []
    for line in lines:
        shell.checkpoint()
        shell.print(line + "\n")
    return ShellStatus.SUCCESS


def _fits(found: EfiStatus, wanted: EfiStatus | str | None) -> bool:
    return found.is_error if wanted is None else found == wanted


def _traced_services(shell: Shell) -> Iterable[str]:
    machine = running_machine(shell)
    return {record.service for record in machine.trace} if machine is not None else ()


def _add_completions() -> None:
    from tdvfsh.commands.completion import add_provider

    add_provider("status", lambda shell: [_ANY_ERROR, *(status.short_name for status in EfiStatus)])
    add_provider("traced_service", _traced_services)


_add_completions()
