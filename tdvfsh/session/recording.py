"""What ``--record``, ``--cast`` and the ``record`` command begin and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@contextmanager
def recording(
    shell: Shell, record: str | None = None, cast: str | None = None, now: Callable[[], float] | None = None
) -> Iterator[None]:
    """Let the shell record while the block runs, from its first line where files are named.

    Args:
        shell: The shell.
        record: A transcript to write.
        cast: An asciicast to write.
        now: Seconds that pass, for the cast; made-up timing where None.

    Raises:
        HostError: A file cannot be written.
    """
    shell.start_recording = lambda path: _file_recorder(shell, path)
    with ExitStack() as stack:
        stack.callback(_finish, shell)
        if record is not None:
            shell.recording = shell.start_recording(record)
        if cast is not None:
            from tdvfsh.session.cast import CastRecorder

            stack.callback(CastRecorder(shell, cast, now).stop)
        yield


def _file_recorder(shell: Shell, path: str) -> _Recording:
    from tdvfsh.session.recorder import FileRecorder

    return FileRecorder(shell, path)


def _finish(shell: Shell) -> None:
    running, shell.recording = shell.recording, None
    if running is not None:
        running.stop()


if TYPE_CHECKING:
    from tdvfsh.shell.interfaces import Recording as _Recording
