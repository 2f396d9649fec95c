"""The shell's machine: made when a command first needs it, so that scripts that touch no memory never build one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tdvfsh.script.status import ShellStatus

if TYPE_CHECKING:
    from tdvfsh.commands.shell import Shell
    from tdvfsh.errors import TdvfshError
    from tdvfsh.machine import Machine, TdOptions


def machine_of(shell: Shell) -> Machine:
    """The shell's machine; made from ``shell.td_options`` on first use.

    Raises:
        UsageError: A TD that cannot be, or does not start.
    """
    from tdvfsh.machine import Machine

    if isinstance(shell.machine, Machine):
        return shell.machine
    return new_machine(shell, options_of(shell))


def options_of(shell: Shell) -> TdOptions:
    """The options of the shell's machine, whether or not it exists yet."""
    from tdvfsh.machine import Machine, TdOptions

    if isinstance(shell.machine, Machine):
        return shell.machine.options
    return shell.td_options if shell.td_options is not None else TdOptions()


def new_machine(shell: Shell, options: TdOptions) -> Machine:
    """Start a machine and make it the shell's; the shell's clock becomes its virtual clock and goes on.

    Where it does not start, the shell keeps what it had.

    Raises:
        UsageError: A TD that cannot be, or does not start.
    """
    from tdvfsh.machine import Machine

    machine = Machine(options)
    machine.clock.advance(shell.clock.now_ns)
    shell.td_options = options
    shell.machine = machine
    shell.clock = machine.clock
    return machine


def status_of_error(error: TdvfshError) -> ShellStatus:
    """The status that a command ends with where the host or the person was wrong."""
    from tdvfsh.errors import FormatError, ScriptError, UsageError

    if isinstance(error, UsageError):
        return ShellStatus.INVALID_PARAMETER
    if isinstance(error, FormatError):
        return ShellStatus.UNSUPPORTED
    return ShellStatus.ABORTED if isinstance(error, ScriptError) else ShellStatus.DEVICE_ERROR
