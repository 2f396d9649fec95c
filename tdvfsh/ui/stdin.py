"""Without a terminal, standard input is a script."""

from __future__ import annotations

import os
import sys

from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import BinaryIO, Final, TextIO
from tdvfsh.script.program import decode_text
from tdvfsh.shell.shell import Shell
from tdvfsh.ui.exit_status import exit_status
from tdvfsh.ui.output import sink_for

MOST_BYTES: Final = 1 << 26
BROKEN_PIPE: Final = 141  # as a shell reports SIGPIPE
_NAME: Final = "standard input"


def run_stdin(shell: Shell, *, stdin: BinaryIO | None = None, stdout: TextIO | None = None) -> int:
    """Run standard input as a script, its lines not echoed.

    ``if``, ``for`` and ``goto`` work as in a file; all of the input is read first, as the language needs it.

    Args:
        shell: The shell; its output is set.
        stdin: Bytes, UTF-16 with a byte order mark or else one byte a character; the process's own input where None.
        stdout: Where to print; the process's own output where None.

    Returns:
        ``%lasterror%`` after the last line, the code of ``exit``, or 141 where the output is no longer read.

    Raises:
        HostError: Input that is not a script or cannot be read, output that cannot be written.
    """
    text = _script(_open_input() if stdin is None else stdin)
    stream = sys.stdout if stdout is None else stdout
    if stream is None:
        raise HostError("standard output: closed")
    shell.stdout = shell.stderr = sink_for(stream)
    shell.interpreter.echo = False
    try:
        shell.run_text(_NAME, text)
        stream.flush()
    except BrokenPipeError:
        _forget(stream)
        return BROKEN_PIPE
    except OSError as error:
        _forget(stream)
        raise HostError(f"standard output: {error.strerror or error}") from error
    return exit_status(shell)


def _open_input() -> BinaryIO | None:
    return None if sys.stdin is None else sys.stdin.buffer


def _script(stdin: BinaryIO | None) -> str:
    try:
        data = b"" if stdin is None else stdin.read(MOST_BYTES + 1)
    except OSError as error:
        raise HostError(f"{_NAME}: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise HostError(f"{_NAME}: more than {MOST_BYTES >> 20} MiB: too long for a script")
    if b"\0" in data[:4096] and not data.startswith(b"\xff\xfe"):
        raise HostError(f"{_NAME}: not a script: looks like a binary file")
    return decode_text(data)


def _forget(stream: TextIO) -> None:
    """Let what is left in the stream go nowhere, so that closing it says nothing more."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
