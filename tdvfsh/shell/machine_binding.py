"""The shell's machine: made when a command first needs it, so that scripts that touch no memory never build one."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.processor import connect_processor, wants_processor

if TYPE_CHECKING:
    from tdvfsh.dxe.time import RealTimeClock
    from tdvfsh.errors import TdvfshError
    from tdvfsh.machine import Machine, TdOptions
    from tdvfsh.shell.drives.search import Found
    from tdvfsh.shell.image_result import ImageResult
    from tdvfsh.shell.shell import Shell
    from tdvfsh.uefi.status import EfiStatus

_NANOSECONDS = 1_000_000_000


def machine_of(shell: Shell) -> Machine:
    """The shell's machine; made from ``shell.td_options`` on first use.

    Raises:
        UsageError: Invalid TD options, or a TD that does not start.
    """
    machine = running_machine(shell)
    return machine if machine is not None else new_machine(shell, options_of(shell))


def running_machine(shell: Shell) -> Machine | None:
    """The shell's machine where there is one already: for readers that must not make one, such as completion."""
    if shell.machine is None:
        return None
    from tdvfsh.machine import Machine

    return shell.machine if isinstance(shell.machine, Machine) else None


def options_of(shell: Shell) -> TdOptions:
    """The options of the shell's machine as they were asked for, whether or not it exists yet."""
    from tdvfsh.machine import TdOptions

    if shell.td_options is not None:
        return shell.td_options
    machine = running_machine(shell)
    return machine.options if machine is not None else TdOptions()


def new_machine(shell: Shell, options: TdOptions) -> Machine:
    """Start a machine and make it the shell's, with the shell's drives as its disks; its virtual clock is the shell's.

    Time that passed before the first machine counts. Another machine is the platform's next start: its virtual time
    begins anew, the date continues, and non-volatile variables stay. Where it does not start, the shell keeps what it
    had.

    Raises:
        UsageError: Invalid TD options, or a TD that does not start.
    """
    from tdvfsh.dxe.nonvolatile_state import next_start
    from tdvfsh.machine import Machine

    machine = Machine(options, at_shell=True)
    core, before = machine.services.core, running_machine(shell)
    if before is None:
        machine.clock.advance(shell.clock.now_ns)
        core.real_time_clock = real_time_clock(shell)
    else:
        next_start(before.services.core, before.clock.now_ns).put_into(core)
    shell.td_options = options
    shell.machine = machine
    shell.clock = machine.clock
    connect_drives(shell, machine)
    if wants_processor(shell):
        connect_processor(shell, machine)
    return machine


def real_time_clock(shell: Shell) -> RealTimeClock:
    """The machine's clock, which shows the date at ``shell.clock``; before there is a machine, what it will be.

    Setting it makes the machine first.
    """
    from tdvfsh.dxe.time import RealTimeClock

    machine = running_machine(shell)
    if machine is not None:
        return machine.services.core.real_time_clock
    return RealTimeClock() if shell.start_time is None else RealTimeClock(shell.start_time * _NANOSECONDS)


def connect_drives(shell: Shell, machine: Machine) -> None:
    """Make a handle with device path and file system for every drive that has none yet."""
    from tdvfsh.shell.images_on_drives import drive_handle

    for drive in shell.drives.drives:
        drive_handle(shell, machine, drive)


def set_image_hooks(shell: Shell) -> None:
    """Let ``load``, ``unload`` and programs go through the machine's image services."""

    def load(item: Found, connect: bool) -> ImageResult:
        from tdvfsh.shell.images_on_drives import load_driver

        return load_driver(shell, item)

    def unload(handle: int) -> EfiStatus | None:
        machine = machine_of(shell)
        return machine.services.unload_image(handle) if handle in machine.services.handles else None

    def start(path: str, command_line: str) -> tuple[EfiStatus, int]:
        from tdvfsh.shell.images_on_drives import run_program

        return run_program(shell, path, command_line)

    shell.image_loader, shell.image_unloader, shell.image_starter = load, unload, start


def status_of_error(error: TdvfshError) -> ShellStatus:
    """The status that a command ends with after an error of the host or of the user's input."""
    from tdvfsh.errors import FormatError, ScriptError, UsageError

    if isinstance(error, UsageError):
        return ShellStatus.INVALID_PARAMETER
    if isinstance(error, FormatError):
        return ShellStatus.UNSUPPORTED
    return ShellStatus.ABORTED if isinstance(error, ScriptError) else ShellStatus.DEVICE_ERROR
