"""``fault``: failures on purpose in the shell's TD."""

from __future__ import annotations

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Flag, Text
from tdvfsh.shell.machine_binding import machine_of

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@command("fault", profile="td")
def fault(shell: Shell, *specs: Text, d: Flag = False) -> ShellStatus:
    """Make the n-th accept, TDCALL or boot service call fail in a chosen way.

    SYNOPSIS:
        fault [-d]
        fault what:n=how [what:n-m=how...]

    OPTIONS:
        -d: Forget all faults that are still to come.
        what: accept, tdcall, mapgpa, AllocatePages, AllocatePool, LoadImage, StartImage, AcceptMemory or
            ExitBootServices.
        n: Which of them, counted from now on; n-m for several in a row.
        how: For accept and tdcall a TDCALL completion, such as OPERAND_BUSY or SIZE_MISMATCH; for mapgpa RETRY or
            INVALID_OPERAND; else an EFI status, such as OUT_OF_RESOURCES.

    DESCRIPTION:
        Without arguments the faults that are still to come are shown, numbered from now. Firmware tries a busy page
        three times more, so that one OPERAND_BUSY of a tdcall passes and four in a row do not; an accept that is busy
        is busy to the end. A RETRY of mapgpa makes no progress; three in a row are a device error.

        'boot -fault' does the same to a TD of its own; there sec-accept and sec-tdcall also reach what is accepted
        before DXE starts.

    EXAMPLES:
        fault accept:1=OPERAND_BUSY
        fault AllocatePages:2=OUT_OF_RESOURCES tdcall:1-4=OPERAND_BUSY

    RETURNVALUES:
        SUCCESS: Set, shown or forgotten.
        INVALID_PARAMETER: There is no such fault.
    """
    from tdvfsh.machine.faults import forget_faults, parse_fault, pending_faults, set_faults

    machine = machine_of(shell)
    if d:
        forget_faults(machine)
        return ShellStatus.SUCCESS
    try:
        faults = [parse_fault(spec) for spec in specs]
        early = next((str(entry) for entry in faults if entry.what.startswith("sec-")), None)
        if early is not None:
            raise UsageError(f"{early}: this TD has started already; 'boot -fault' makes one of its own")
    except UsageError as error:
        shell.print(f"fault: {error}\n")
        return ShellStatus.INVALID_PARAMETER
    set_faults(machine, faults)
    if not specs:
        for line in pending_faults(machine) or ["no fault is to come"]:
            shell.print(f"{line}\n")
    return ShellStatus.SUCCESS
