"""What the process returns for what the shell says."""

from __future__ import annotations

from tdvfsh.lazy_typing import Final
from tdvfsh.shell.shell import Shell

INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells have it."""


def exit_status(shell: Shell) -> int:
    """The code of ``exit``, else ``%lasterror%``: its low byte, but never 0 for an error; 130 after Ctrl-C."""
    if shell.was_interrupted:
        return INTERRUPTED
    code = shell.interpreter.exit_code if shell.exiting else shell.last_error_code
    return code & 0xFF or (1 if code else 0)
