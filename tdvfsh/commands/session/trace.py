"""``trace``: the journal."""

from __future__ import annotations

from tdvfsh.commands.boot.boot import last_boot
from tdvfsh.lazy_dataclass import replace
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import BadArgument, Count, FilePath, Flag, Kind, Option, Text, read_address
from tdvfsh.shell.machine_binding import machine_of, running_machine
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tdvfsh.boots.modelled_boot import BootResult
    from tdvfsh.machine import Machine
    from tdvfsh.shell.shell import Shell
    from tdvfsh.trace import TraceRecord

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


def _read_range(word: str) -> object:
    """``start``, ``start-last`` or ``start+size`` as ``(start, end)``."""
    first, sign, second = word.partition("+" if "+" in word else "-")
    start = read_address(first)
    if not sign:
        return start, start + 1
    end = start + read_address(second) if sign == "+" else read_address(second) + 1
    if end <= start:
        raise BadArgument
    return start, end


AddressRange = Annotated[tuple[int, int], Kind("address", _read_range)]
StatusName = Annotated[EfiStatus | None, Kind("status", _read_status)]
TracedService = Annotated[str, Kind("traced_service", lambda word: word.lower())]


@command("trace", profile="td")
def trace(
    shell: Shell,
    *,
    service: TracedService | None = None,
    status: StatusName | str = "",
    caller: Text | None = None,
    address: AddressRange | None = None,
    boot: Flag = False,
    o: Annotated[FilePath | None, Option("-o")] = None,
    n: Count | None = None,
    tree: Flag = False,
    sfo: Flag = False,
) -> ShellStatus:
    """Show the journal: boot-service calls, accepts and TDCALLs.

    SYNOPSIS:
        trace [-b] [-boot] [-service name] [-status name] [-caller name] [-address start[-end]] [-n count]
              [-tree] [-sfo]
        trace [-boot] [-service ...] ... -o file

    OPTIONS:
        -b: Stop after each screen.
        -service name: Only calls of this service, such as AllocatePages or TDG.MEM.PAGE.ACCEPT.
        -status name: Only calls that ended so, such as OUT_OF_RESOURCES; error for all failures.
        -caller name: Only calls made by shell, firmware, direct, grub2.12, stub, dxe, sec and so on.
        -address range: Only calls that name an address in it: 512M, 20000000-2FFFFFFF (both ends included), 1M+64K.
        -boot: The journal of the last boot, instead of this shell's machine.
        -n count: The last count records; 0 for all. 40 without it; all with -o.
        -tree: Indent a call below the one that made it; what the chosen calls caused is shown with them.
        -o file: Write JSON Lines to a file, of the form that tdvfsh/report/trace_file.py documents.
        -sfo: Print Standard-Format Output.

    DESCRIPTION:
        Times are modelled milliseconds since the machine was built. Numbers are hex, but for counts of TDCALLs and of
        pages accepted, and handles.

        The columns of a Call row of -sfo are number, number of the call that made it (-1: none), nanoseconds, caller,
        service, arguments, status and results.

    EXAMPLES:
        trace -n 10
        trace -status error
        trace -boot -service StartImage -tree
        trace -status error -o failures.jsonl

    RETURNVALUES:
        SUCCESS: Shown.
        INVALID_PARAMETER: There is no such status, or no such range.
        NOT_FOUND: Nothing has been booted.
        DEVICE_ERROR: The file cannot be written.
    """
    from tdvfsh.report.trace_filter import of_caller, of_service, of_status, touching, with_descendants
    from tdvfsh.report.trace_text import trace_lines, trace_sfo

    result = last_boot(shell) if boot else None
    source = machine_of(shell) if not boot else result
    if source is None:
        shell.print("trace: Nothing has been booted yet.\n")
        return ShellStatus.NOT_FOUND
    journal = machine_of(shell).trace if result is None else result.machine.trace
    filters = []
    if service is not None:
        filters.append(of_service(service))
    if caller is not None:
        filters.append(of_caller(caller))
    if not isinstance(status, str):
        filters.append(of_status(status))
    if address is not None:
        filters.append(touching(*address))
    wanted = [record for record in journal if all(fits(record) for fits in filters)] if filters else journal.records
    if tree and filters:
        wanted = with_descendants(journal, wanted)
    count = (_SHOWN if o is None else 0) if n is None else n
    shown = wanted[-count:] if count else wanted
    if o is not None:
        return _write(shell, source, shown, o)
    if sfo:
        lines = trace_sfo(shown)
    else:
        lines = [f"{len(shown)} of {len(wanted)} records, {len(journal)} in total"]
        lines += trace_lines(journal, shown, tree=tree) if shown else []
    for line in lines:
        shell.checkpoint()
        shell.print(line + "\n")
    return ShellStatus.SUCCESS


def _write(shell: Shell, source: Machine | BootResult, records: list[TraceRecord], path: str) -> ShellStatus:
    from tdvfsh.machine import Machine
    from tdvfsh.report.trace_file import trace_of_boot, trace_of_machine
    from tdvfsh.shell.drives.filesystem import FileSystemError
    from tdvfsh.trace.file import trace_file_lines

    whole = trace_of_machine(source) if isinstance(source, Machine) else trace_of_boot(source)
    file = replace(whole, records=records)
    located = shell.locate(path)
    try:
        if located is None or not located[1]:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        located[0].drive.filesystem.save(located[1], (f"{line}\n".encode() for line in trace_file_lines(file)))
    except FileSystemError as error:
        shell.print(f"trace: Cannot write '{path}': {error.status.phrase}\n")
        return ShellStatus.DEVICE_ERROR
    shell.print(f"{len(records)} records in {path}\n")
    return ShellStatus.SUCCESS


def _traced_services(shell: Shell) -> Iterable[str]:
    machine = running_machine(shell)
    return {record.service for record in machine.trace} if machine is not None else ()


def _add_completions() -> None:
    from tdvfsh.shell.command.completion import add_provider

    add_provider("status", lambda shell: [_ANY_ERROR, *(status.short_name for status in EfiStatus)])
    add_provider("traced_service", _traced_services)


_add_completions()
