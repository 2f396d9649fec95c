"""What the process returns for what the shell says."""

from __future__ import annotations

from tdvfsh.shell.shell import Shell


def exit_status(shell: Shell) -> int:
    """The code of ``exit``, else ``%lasterror%``: its low byte, but never 0 for an error."""
    code = shell.interpreter.exit_code if shell.exiting else shell.last_error_code
    return code & 0xFF or (1 if code else 0)
