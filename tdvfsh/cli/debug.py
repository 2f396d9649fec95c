"""``--gdb``, ``--break``, ``--trace-instructions`` and ``--on-stop`` of the subcommands that run real code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.output import TextSink, print_notes
from tdvfsh.cli.standard_input import standard_input_text
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, TypeVar
from tdvfsh.ui.output import escape_controls

if TYPE_CHECKING:
    from tdvfsh.engine.debug.monitor import MonitorCommands
    from tdvfsh.engine.debug.scene import Scene
    from tdvfsh.engine.debug.session import DebugSession
    from tdvfsh.engine.debug.stops import StopShell
    from tdvfsh.engine.firmware.run import FirmwareRun
    from tdvfsh.engine.runs.guest import GuestFirmware

T = TypeVar("T")


class Debugging:
    """A run, debugged or not.

    Args:
        session: The debugged run; None where no debugger was asked for.
        prompts: Whether standard input belongs to the prompt at each stop.
    """

    def __init__(self, session: DebugSession | None, prompts: bool) -> None:
        self.session = session
        self.prompts = prompts
        self._typed: str | None = None

    def attach_to(self, firmware: GuestFirmware) -> None:
        """The firmware for guest code has been made and has not run yet."""
        if self.session is not None:
            from tdvfsh.engine.debug.guest_scene import GuestScene

            self.session.attach(GuestScene(firmware))

    def attach_to_firmware(self, run: FirmwareRun) -> None:
        """A run of real firmware has been made and has not begun."""
        if self.session is not None:
            from tdvfsh.engine.debug.firmware_scene import FirmwareScene

            self.session.attach(FirmwareScene(run))
            run.on_end = self.session.ended

    def repeated(self, run: Callable[[], T], refused: str = "") -> T:
        """Run, and again from the start whenever the debugger goes back; then all is made anew.

        Args:
            run: The run.
            refused: Why it would not be the same run; empty where it is.
        """
        return run() if self.session is None else self.session.repeated(run, refused)

    def repeats_not(self, why: str) -> None:
        """The run cannot be repeated."""
        if self.session is not None:
            self.session.refuse_repetition(why)

    @property
    def repeats(self) -> bool:
        """Whether the run is a repetition, or is to begin again."""
        return self.session is not None and self.session.repeats

    def shown(self, stream: TextSink) -> TextSink:
        """A stream for what the guest shows: nothing while a run is repeated."""
        return stream if self.session is None else _Shown(stream, self.session)

    def typed(self) -> str:
        """Standard input, the same for each repetition."""
        if self._typed is None:
            self._typed = standard_input_text()
        return self._typed

    @contextmanager
    def running(self) -> Iterator[None]:
        """The run: how it ends is shown to the debugger first, while the machine is still there."""
        if self.session is None:
            yield
            return
        from tdvfsh.engine.errors import EngineError

        try:
            yield
        except EngineError as error:
            self.session.ended(error)
            raise

    def exited(self, status: int) -> None:
        """The exit status of the run."""
        if self.session is not None:
            self.session.exited(status)


class _Shown:
    """A stream that shows nothing while a run is repeated."""

    def __init__(self, stream: TextSink, session: DebugSession) -> None:
        self._stream = stream
        self._session = session

    def write(self, text: str) -> object:
        """Some text."""
        return None if self._session.repeats else self._stream.write(text)

    def flush(self) -> object:
        """Show it."""
        return self._stream.flush()


@contextmanager
def debugging(arguments: Arguments) -> Iterator[Debugging]:
    """The run that was asked for.

    Raises:
        UsageError: Options that do not belong together.
    """
    gdb, trace, breaks = arguments.optional("gdb"), arguments.optional("trace_instructions"), arguments.words("break")
    prompts = arguments.optional("on_stop") == "prompt"
    if prompts and arguments.flag("console"):
        raise UsageError("--console: the prompt of --on-stop reads standard input")
    if gdb is not None and (prompts or trace is not None or breaks):
        raise UsageError("--gdb: gdb sets its own stops; --break, --trace-instructions and --on-stop go without it")
    if trace is not None and not breaks:
        raise UsageError("--trace-instructions: needs --break, between two of whose stops instructions are written")
    if gdb is None and not breaks and not prompts:
        yield Debugging(None, prompts)
        return
    from tdvfsh.engine.debug.session import DebugOptions, DebugSession

    options = DebugOptions(gdb, tuple(breaks), trace, prompts)
    with DebugSession(options, lambda line: print_notes([f"tdvfsh: {line}"]), _ask, _stopped_shell) as session:
        yield Debugging(session, prompts)


def _ask(prompt: str) -> str | None:
    """A line of standard input; None at its end."""
    if sys.stdin.isatty():
        sys.stderr.write(prompt)
        sys.stderr.flush()
    line = sys.stdin.readline()
    return line.rstrip("\r\n") if line else None


def _stopped_shell(scene: Scene, monitor: MonitorCommands) -> StopShell:
    """The shell of a prompt; the current folder is its ``fs0:``."""
    from tdvfsh.engine.debug.stops import CONTROL
    from tdvfsh.session.stopped import StoppedShell

    return StoppedShell(_Prompted(), scene, monitor, CONTROL, os.curdir)


class _Prompted:
    """Where the prompt is: standard error, since standard output is the guest's."""

    def write(self, text: str) -> None:
        """Names come from files of others."""
        sys.stderr.write("\n".join(map(escape_controls, text.split("\n"))))

    def close(self) -> None:
        """It stays open."""
