"""Listening to what a shell prints while a line runs."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdvfsh.script.host import TextSink
    from tdvfsh.shell.shell import Shell


class Tee:
    """A sink that reports what goes into another one."""

    def __init__(self, sink: TextSink, told: Callable[[str], None]) -> None:
        self._sink = sink
        self._told = told

    def write(self, text: str) -> None:
        """Print text."""
        self._told(text)
        self._sink.write(text)

    def close(self) -> None:
        """Close the wrapped sink."""
        self._sink.close()


class Listening:
    """Observation of a shell's output until :meth:`stop`.

    Standard error is observed where it goes the same way as standard output; the terminal of ``-b`` stays one.
    """

    def __init__(self, shell: Shell, told: Callable[[str], None]) -> None:
        self._shell = shell
        self._before = shell.stdout, shell.stderr, shell.screen
        tee = Tee(shell.stdout, told)
        if shell.stderr is shell.stdout:
            shell.stderr = tee
        if shell.screen is shell.stdout:
            shell.screen = tee
        shell.stdout = tee

    def stop(self) -> None:
        """Restore the shell's own sinks."""
        self._shell.stdout, self._shell.stderr, self._shell.screen = self._before
