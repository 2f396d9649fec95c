"""``undo`` and ``redo``."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Count

if TYPE_CHECKING:
    from collections.abc import Callable

    from tdvfsh.shell.history import Moment
    from tdvfsh.shell.shell import Shell


@command("undo", profile="td", counts=False)
def undo(shell: Shell, count: Count = 1) -> ShellStatus:
    """Go back before the last command.

    SYNOPSIS:
        undo [count]

    OPTIONS:
        count: Number of lines to take back. 1 without it.

    DESCRIPTION:
        Machine, variables, aliases, drives, current directory and lasterror are as they were before the line; files of
        the host stay as they are. A script that was called at the prompt is one line; inside a script each line is one.
        The last 100 lines can be taken back.

        'lasterror' is that of the moment gone back to; it is NOT_FOUND only where there was nothing to undo.

    EXAMPLES:
        undo
        undo 3

    RETURNVALUES:
        SUCCESS: Undone.
        NOT_FOUND: There is nothing to undo, or less than count; what there was is undone.
    """
    return _repeat(shell, "undo", "Undone", lambda: shell.history.undo(shell), count)


@command("redo", profile="td", counts=False)
def redo(shell: Shell, count: Count = 1) -> ShellStatus:
    """Take back what undo did.

    SYNOPSIS:
        redo [count]

    OPTIONS:
        count: Number of lines. 1 without it.

    DESCRIPTION:
        Nothing runs again: the state after the line is restored. A command that changes something after 'undo' ends
        what can be redone; one that only shows something does not.

    RETURNVALUES:
        SUCCESS: Redone.
        NOT_FOUND: There is nothing to redo, or less than count; what there was is redone.
    """
    return _repeat(shell, "redo", "Redone", lambda: shell.history.redo(shell), count)


def _repeat(shell: Shell, name: str, word: str, step: Callable[[], Moment | None], count: int) -> ShellStatus:
    for done in range(count):
        moment = step()
        if moment is None:
            more = "more " if done else ""
            shell.print(f"{name}: There is nothing {more}to {name}.\n")
            shell.interpreter.set_last_error(ShellStatus.NOT_FOUND)
            return ShellStatus.NOT_FOUND
        shell.print(f"{word}: {moment.line}\n")
    return ShellStatus.SUCCESS
