"""``connect``, ``disconnect`` and ``reconnect``: drivers of the handle database.

Source: edk2 ShellPkg/Library/UefiShellDriver1CommandsLib (Connect.c, Disconnect.c, Reconnect.c).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Flag, Rest
from tdvfsh.shell.machine_binding import connect_drives, machine_of
from tdvfsh.uefi.guids import EFI_DRIVER_BINDING_PROTOCOL_GUID

if TYPE_CHECKING:
    from tdvfsh.machine import Machine
    from tdvfsh.shell.shell import Shell


@command("connect", profile="Driver1")
def connect(shell: Shell, *handles: Rest, c: Flag = False, r: Flag = False) -> ShellStatus:
    """Bind drivers to devices and start them.

    SYNOPSIS:
        connect [[DeviceHandle] [DriverHandle] | [-c] | [-r]]

    OPTIONS:
        -c: Connect the consoles, which need no driver here.
        -r: Connect all below, too.
        DeviceHandle: A device's handle in hex, as dh shows it; all without it.
        DriverHandle: A driver that is asked before all others.

    DESCRIPTION:
        Drivers are the firmware's own, for the devices of its board, and those that 'load' has started; they run
        where programs do ('td -engine cpu').

    EXAMPLES:
        connect
        connect 19 17

    RETURNVALUES:
        SUCCESS: A driver was started.
        DEVICE_ERROR: None was.
        INVALID_PARAMETER: There is no such handle.
        UNSUPPORTED: No programs run in this machine.
    """
    if len(handles) > 2:
        return _wrong(shell, "connect: Too many arguments")
    machine = _machine(shell)
    numbers = _numbers(shell, "connect", machine, handles)
    if isinstance(numbers, ShellStatus):
        return numbers
    database = machine.services.handles
    if len(numbers) == 2 and not _is_driver(machine, numbers[1]):
        return _wrong(shell, f"connect: Handle - '{handles[1]}' not found")
    if not _runs(shell, "connect", machine):
        return ShellStatus.UNSUPPORTED
    if c:
        return ShellStatus.DEVICE_ERROR
    if len(numbers) == 1 and _is_driver(machine, numbers[0]):
        return _connect(shell, machine, database.locate_handles(), numbers, recursive=r)
    return _connect(shell, machine, numbers[:1] or database.locate_handles(), numbers[1:], recursive=r)


@command("disconnect", profile="Driver1")
def disconnect(shell: Shell, *handles: Rest, r: Flag = False, nc: Flag = False) -> ShellStatus:
    """Stop drivers of devices.

    SYNOPSIS:
        disconnect DeviceHandle [DriverHandle [ChildHandle]]
        disconnect -r [-nc]

    OPTIONS:
        -r: Of all devices.
        -nc: With -r: do not connect the consoles again.
        DeviceHandle: A device's handle in hex, as dh shows it.
        DriverHandle: Only this driver.
        ChildHandle: Only what it made this child for.

    RETURNVALUES:
        SUCCESS: Stopped, or no driver managed the device.
        NOT_FOUND: That driver does not manage the device, or has no such child.
        INVALID_PARAMETER: There is no such handle.
        UNSUPPORTED: No programs run in this machine.
    """
    if not r and (not handles or nc):
        return _wrong(shell, "disconnect: Too few arguments")
    if len(handles) > (0 if r else 3):
        return _wrong(shell, "disconnect: Too many arguments")
    machine = _machine(shell)
    numbers = _numbers(shell, "disconnect", machine, handles)
    if isinstance(numbers, ShellStatus):
        return numbers
    if not _runs(shell, "disconnect", machine):
        return ShellStatus.UNSUPPORTED
    if r:
        for handle in machine.services.handles.locate_handles():
            machine.services.drivers.disconnect(handle)
        return ShellStatus.SUCCESS
    return _disconnect(shell, machine, numbers)


@command("reconnect", profile="Driver1")
def reconnect(shell: Shell, *handles: Rest, r: Flag = False) -> ShellStatus:
    """Stop drivers of devices and start them again.

    SYNOPSIS:
        reconnect DeviceHandle [DriverHandle [ChildHandle]]
        reconnect -r

    OPTIONS:
        -r: Of all devices.
        DeviceHandle, DriverHandle, ChildHandle: As for disconnect.

    RETURNVALUES:
        SUCCESS: A driver was started again.
        DEVICE_ERROR: None was.
        NOT_FOUND: Nothing could be stopped.
        INVALID_PARAMETER: There is no such handle.
        UNSUPPORTED: No programs run in this machine.
    """
    if not r and not handles:
        return _wrong(shell, "reconnect: Too few arguments")
    status = disconnect(shell, *handles, r=r)
    return connect(shell, *handles[:2], r=True) if status is ShellStatus.SUCCESS else status


def _machine(shell: Shell) -> Machine:
    machine = machine_of(shell)
    connect_drives(shell, machine)
    return machine


def _wrong(shell: Shell, message: str) -> ShellStatus:
    shell.print(f"{message}\n")
    return ShellStatus.INVALID_PARAMETER


def _numbers(shell: Shell, name: str, machine: Machine, words: tuple[str, ...]) -> list[int] | ShellStatus:
    """The handles that words name; the status after the message where one is not a handle."""
    numbers: list[int] = []
    for word in words:
        number = parse_number(word, force_hex=True)
        if number is None or number not in machine.services.handles:
            return _wrong(shell, f"{name}: Handle - '{word}' not found")
        numbers.append(number)
    return numbers


def _is_driver(machine: Machine, handle: int) -> bool:
    return EFI_DRIVER_BINDING_PROTOCOL_GUID in machine.services.handles.protocols(handle)


def _runs(shell: Shell, name: str, machine: Machine) -> bool:
    """Whether programs, and so drivers, run in the machine; says so where they do not."""
    if machine.services.core.system_table is not None:
        return True
    shell.print(f"{name}: Not modelled: this machine has no driver bindings.\n")
    return False


def _connect(shell: Shell, machine: Machine, devices: list[int], drivers: list[int], *, recursive: bool) -> ShellStatus:
    status = ShellStatus.DEVICE_ERROR
    for device in devices:
        shell.checkpoint()
        if not machine.services.drivers.connect(device, drivers, recursive=recursive).is_error:
            shell.print(f"Connect - Handle [{device:02X}] Result Success.\n")
            status = ShellStatus.SUCCESS
    if status is not ShellStatus.SUCCESS:
        shell.print("Connect No drivers could be connected.\n")
    return status


def _disconnect(shell: Shell, machine: Machine, numbers: list[int]) -> ShellStatus:
    device, driver, child = [*numbers, 0, 0][:3]
    if driver and not _is_driver(machine, driver):
        return _wrong(shell, f"disconnect: Handle [{driver:02X}] is not a valid driver handle")
    status = machine.services.drivers.disconnect(device, driver or None, child or None)
    shell.print(f"Disconnect - ({device:02X},{driver:02X},{child:02X}) Result {status.phrase}.\n")
    return ShellStatus(status.code)
