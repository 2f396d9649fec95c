"""``share``: private memory to shared and back."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Address, Flag, Size
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.units import human_size

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@command("share", profile="td")
def share(shell: Shell, start: Address, size: Size, *, private: Flag = False) -> ShellStatus:
    """Convert private memory to shared with MapGPA, or back.

    SYNOPSIS:
        share [-private] start size

    OPTIONS:
        -private: Make it private again, and accept it.
        start: First byte, in hex, or as in 512M.
        size: Bytes, in hex, or as in 2M.

    DESCRIPTION:
        Firmware goes by page table entries: one MapGPA for each 1 GiB, 2 MiB or 4 KiB that is aligned. Where the VMM
        answers RETRY it continues from the returned address; three times without progress is a device error, which
        'fault mapgpa:1-3=RETRY' brings about. Contents are lost both ways. The memory map does not learn of it.

    EXAMPLES:
        share 512M 2M
        share -private 512M 2M

    RETURNVALUES:
        SUCCESS: Converted.
        DEVICE_ERROR: The VMM refused, or made no progress.
        INVALID_PARAMETER: No size, or an accept that failed.
        UNSUPPORTED: A plain VM shares all its memory as it is.
    """
    from tdvfsh.machine.sharing import convert_memory

    machine = machine_of(shell)
    outcome = convert_memory(machine, start, size, shared=not private)
    calls = "1 MapGPA" if outcome.calls == 1 else f"{outcome.calls} MapGPA"
    retries = f", {outcome.retries} RETRY" if outcome.retries else ""
    if outcome.status.is_error:
        shell.print(f"share: {outcome.status.phrase} - {calls}{retries}\n")
        return ShellStatus(outcome.status.code)
    accepted = f", {human_size(outcome.accept.accepted_bytes)} accepted" if private else ""
    shell.print(f"{human_size(size)} {'private' if private else 'shared'}: {calls}{retries}{accepted}\n")
    return ShellStatus.SUCCESS
