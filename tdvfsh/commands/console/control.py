"""``exit``, ``ver``, ``reset``."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Flag, Option, Rest, Text

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@command("exit", level=1)
def exit_(shell: Shell, *words: Rest, b: Annotated[Flag, Option("/b")] = False) -> ShellStatus:
    """Leave the shell, or the running script.

    SYNOPSIS:
        exit [/b] [code]

    OPTIONS:
        /b: Leave the running script only.
        code: What lasterror becomes, or the shell's own exit status; 0 without it.

    EXAMPLES:
        Leave the Shell:
        exit
        Leave the running script only:
        exit /b
        Leave the Shell with a status:
        exit 0

    RETURNVALUES:
        SUCCESS: Left.
        INVALID_PARAMETER: The code is not a number.
    """
    code = 0
    if words:
        value = parse_number(words[0])
        if value is None:
            shell.print(f"exit: Invalid argument - '{words[0]}'\n")
            return ShellStatus.INVALID_PARAMETER
        code = value
    shell.interpreter.request_exit(code, script_only=b)
    return ShellStatus.SUCCESS


@command("ver", level=3)
def ver(
    shell: Shell,
    *,
    s: Flag = False,
    t: Flag = False,
    terse: Flag = False,
) -> ShellStatus:
    """Show the versions of shell and firmware.

    SYNOPSIS:
        ver [-s|-terse]

    OPTIONS:
        -s: Only the number of the shell's version.
        -t, -terse: Only the first line.

    EXAMPLES:
        Show all versions:
        ver
        Show the Shell's own:
        ver -s

    RETURNVALUES:
        SUCCESS: Shown.
        INVALID_PARAMETER: -s and -terse exclude each other.
    """
    firmware = shell.firmware
    if s and (t or terse):
        shell.print("ver: Flags conflict with - '-t or -terse' and '-s'\n")
        return ShellStatus.INVALID_PARAMETER
    if s:
        shell.print(f"{firmware.shell}\n")
        return ShellStatus.SUCCESS
    shell.print(f"UEFI Interactive Shell v{firmware.shell}\n")
    if not (t or terse):
        shell.print(f"{firmware.supplier}\nUEFI v{firmware.uefi} ({firmware.vendor}, 0x{firmware.revision:08x})\n")
    return ShellStatus.SUCCESS


@command("reset", level=2)
def reset(
    shell: Shell,
    reason: Text | None = None,
    *,
    w: Flag = False,
    s: Flag = False,
    c: Flag = False,
    fwui: Flag = False,
) -> ShellStatus:
    """Reset the machine: it starts anew, and the shell with it.

    SYNOPSIS:
        reset [-c|-w|-s] [-fwui] [reason]

    OPTIONS:
        -c: Cold reset, which is also the default.
        -w: Warm reset.
        -s: Shut down: leave the shell.
        -fwui: Ask for the firmware's own menu at the next start; this firmware has none.
        reason: Text that goes with the request.

    EXAMPLES:
        Start the machine anew:
        reset
        Shut it down and say why:
        reset -s "all tests ran"

    RETURNVALUES:
        SUCCESS: Asked for.
        INVALID_PARAMETER: More than one kind of reset.
        UNSUPPORTED: There is no machine, or no firmware menu.
    """
    if sum((w, s, c)) > 1:
        shell.print("reset: Too many arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    if fwui:
        shell.print("reset: Status: Unsupported\n")
        return ShellStatus.UNSUPPORTED
    if s:
        shell.interpreter.request_exit(0, script_only=False)
        return ShellStatus.SUCCESS
    restart = getattr(shell.machine, "reset", None)
    if restart is None:
        shell.print("reset: There is no machine to reset.\n")
        return ShellStatus.UNSUPPORTED
    shell.print(f"Reset with {reason or '<null string>'} ({len(reason) * 2 + 2 if reason else 0} bytes)\n")
    restart()
    return ShellStatus.SUCCESS
