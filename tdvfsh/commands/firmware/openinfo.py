"""``openinfo``: the agents that have opened the protocols of a handle.

Source: edk2 ShellPkg/Library/UefiShellDriver1CommandsLib/OpenInfo.c.
"""

from __future__ import annotations

from tdvfsh.commands.firmware.protocol_names import protocol_name
from tdvfsh.dxe.open_protocols import (
    EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER,
    EFI_OPEN_PROTOCOL_BY_DRIVER,
    EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL,
    EFI_OPEN_PROTOCOL_EXCLUSIVE,
    EFI_OPEN_PROTOCOL_GET_PROTOCOL,
    EFI_OPEN_PROTOCOL_TEST_PROTOCOL,
)
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Text
from tdvfsh.shell.machine_binding import connect_drives, machine_of

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_WAYS: Final = {
    EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL: "HandProt",
    EFI_OPEN_PROTOCOL_GET_PROTOCOL: "GetProt",
    EFI_OPEN_PROTOCOL_TEST_PROTOCOL: "TestProt",
    EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER: "Child",
    EFI_OPEN_PROTOCOL_BY_DRIVER: "Driver",
    EFI_OPEN_PROTOCOL_EXCLUSIVE: "Exclusive",
    EFI_OPEN_PROTOCOL_BY_DRIVER | EFI_OPEN_PROTOCOL_EXCLUSIVE: "DriverEx",
}


@command("openinfo", profile="Driver1")
def openinfo(shell: Shell, handle: Text | None = None) -> ShellStatus:
    """Show which agents have opened the protocols of a handle.

    SYNOPSIS:
        openinfo handle

    OPTIONS:
        handle: A handle's number in hex, as dh shows it.

    DESCRIPTION:
        A line for each agent: its handle, the controller that it opened the protocol for, how often, and how. Programs
        open protocols where they run on a processor ('td -engine cpu').

    RETURNVALUES:
        SUCCESS: Shown.
        INVALID_PARAMETER: There is no such handle.
    """
    machine = machine_of(shell)
    connect_drives(shell, machine)
    handles = machine.services.handles
    number = None if handle is None else parse_number(handle, force_hex=True)
    if number is None or number not in handles:
        shell.print(f"openinfo: Handle - '{'<null string>' if handle is None else handle}' not found\n")
        return ShellStatus.INVALID_PARAMETER
    shell.print(f"Handle {number:02X} ({number:X})\n")
    for protocol in handles.protocols(number):
        shell.print(f"{protocol_name(protocol)}\n")
        for entry in handles.opens.of(number, protocol):
            controller = f"{entry.controller_handle:02X}" if entry.controller_handle else "  "
            way = _WAYS.get(entry.attributes, "Unknown")
            shell.print(
                f"  Drv[{entry.agent_handle:02X}] Ctrl[{controller}] Cnt({entry.open_count:02X}) {way:<9} Image()\n"
            )
    return ShellStatus.SUCCESS
