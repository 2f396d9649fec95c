"""``mode``: the text modes of the console.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib/Mode.c; the modes are those that the specification
wants of every console, and one more of OVMF's.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Text

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_MODES = ((80, 25), (80, 50), (100, 31))


@command("mode", profile="Debug1")
def mode(shell: Shell, columns: Text | None = None, rows: Text | None = None) -> ShellStatus:
    """Show or choose the console's text mode.

    SYNOPSIS:
        mode [columns rows]

    DESCRIPTION:
        The host's terminal keeps its size; the choice is what programs of the machine see. The mode of redirected
        output cannot be changed.

    EXAMPLES:
        Show the modes:
        mode
        Choose one:
        mode 80 50

    RETURNVALUES:
        SUCCESS: Shown or chosen.
        INVALID_PARAMETER: There is no such mode.
    """
    current = shell.state.setdefault("mode", _MODES[0])
    if columns is None:
        shell.print("Available modes for console output device.\n")
        for one in _MODES:
            shell.print(f"  Col {one[0]:5} Row {one[1]:5}  {'*' if one == current else ' '}\n")
        return ShellStatus.SUCCESS
    if rows is None:
        shell.print("mode: Too few arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    wanted = [parse_number(word) for word in (columns, rows)]
    for word, value in zip((columns, rows), wanted, strict=True):
        if value is None:
            shell.print(f"mode: Invalid argument - '{word}'\n")
    found = next((one for one in _MODES if list(one) == wanted), None)
    if found is not None and shell.on_console:
        shell.state["mode"] = found
        return ShellStatus.SUCCESS
    if found is not None:
        shell.print("mode: Unable to change the mode.\n")
    shell.print("mode: No matching mode found to set\n")
    return ShellStatus.INVALID_PARAMETER
