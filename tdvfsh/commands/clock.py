"""``stall``. Time here is the virtual clock: it passes only when something lets it.

Source: edk2 ShellPkg/Library/UefiShellLevel1CommandsLib/Stall.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tdvfsh.commands.registry import command
from tdvfsh.commands.types import Count
from tdvfsh.script.status import ShellStatus

if TYPE_CHECKING:
    from tdvfsh.commands.shell import Shell


@command("stall", level=1, counts=False)
def stall(shell: Shell, microseconds: Count) -> ShellStatus:
    """Let the virtual clock advance.

    SYNOPSIS:
        stall microseconds

    DESCRIPTION:
        Nothing waits: the clock of the virtual machine is set forward. The status does not go into lasterror.

    RETURNVALUES:
        SUCCESS: The time has passed.
        INVALID_PARAMETER: That is no number.
    """
    shell.clock.advance(microseconds * 1000)
    return ShellStatus.SUCCESS
