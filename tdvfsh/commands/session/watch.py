"""``watch``: the live view, where there is a terminal for it."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.completion import add_provider
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Kind

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


_STATES = ("on", "off")
WatchState = Annotated[str, Kind("watch_state", lambda word: word)]
add_provider("watch_state", lambda shell: _STATES)


@command("watch", profile="td", counts=False)
def watch(shell: Shell, state: WatchState = "on") -> ShellStatus:
    """Split the terminal: the map and what was accepted above, the prompt below.

    SYNOPSIS:
        watch [on|off]

    OPTIONS:
        on: Show it, which is also the default.
        off: Go back to the plain prompt.

    DESCRIPTION:
        The upper part follows every command. F1 tells the keys, F2 changes what the upper part shows: RAM to scale, how
        much is of which type, the last calls, or only the bar. F10, Ctrl-D, 'watch' or 'watch off' goes back to the
        plain prompt; 'exit' leaves the shell.

    EXAMPLES:
        watch
        watch off

    RETURNVALUES:
        SUCCESS: The live view follows.
        INVALID_PARAMETER: Neither on nor off.
        UNSUPPORTED: There is no terminal with cursor control, or this is a script.
    """
    if state.lower() not in _STATES:
        shell.print(f"watch: Invalid argument - '{state}'\n")
        return ShellStatus.INVALID_PARAMETER
    if state.lower() == "off":  # the view itself reads the word and leaves
        return ShellStatus.SUCCESS
    if shell.live_view is None:
        shell.print("watch: only at a prompt on a terminal\n")
        return ShellStatus.UNSUPPORTED
    shell.live_view()
    return ShellStatus.SUCCESS
