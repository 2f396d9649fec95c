"""``watch``: the live view, where there is a terminal for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@command("watch", profile="td", counts=False)
def watch(shell: Shell) -> ShellStatus:
    """Split the terminal: the map and what was accepted above, the prompt below.

    SYNOPSIS:
        watch

    DESCRIPTION:
        The upper part follows every command. F1 tells the keys, F2 changes what the upper part shows: RAM to scale, how
        much is of which type, the last calls, or only the bar. F10, Ctrl-D or 'watch' goes back to the plain prompt;
        'exit' leaves the shell.

    RETURNVALUES:
        SUCCESS: The live view follows.
        UNSUPPORTED: There is no terminal with cursor control, or this is a script.
    """
    if shell.live_view is None:
        shell.print("watch: only at a prompt on a terminal\n")
        return ShellStatus.UNSUPPORTED
    shell.live_view()
    return ShellStatus.SUCCESS
