"""One debugged run: who it halts for, what it halts at, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tdvfsh.engine.console.serial_input import InputEnded
from tdvfsh.engine.debug.break_list import BreakList
from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.events import EventBreaks
from tdvfsh.engine.debug.gdb.connection import Place
from tdvfsh.engine.debug.gdb.files import ServedFiles
from tdvfsh.engine.debug.gdb.server import GdbServer, KilledByDebugger
from tdvfsh.engine.debug.guest_scene import libraries_of
from tdvfsh.engine.debug.host_writes import HostWrites
from tdvfsh.engine.debug.instruction_trace import InstructionTrace
from tdvfsh.engine.debug.monitor import MonitorCommands
from tdvfsh.engine.debug.repetition import Rewound
from tdvfsh.engine.debug.scene import Scene
from tdvfsh.engine.debug.stops import StopReports, StopShell
from tdvfsh.engine.errors import EngineError, GuestReset, ReachedOperatingSystem
from tdvfsh.engine.runs.os_run import ConsoleMatched
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final, TypeVar

T = TypeVar("T")

_PLAIN_ENDS: Final = (GuestReset, ConsoleMatched, InputEnded, ReachedOperatingSystem, KilledByDebugger)


@dataclass(frozen=True, slots=True)
class DebugOptions:
    """What was asked for.

    Attributes:
        gdb: Where a gdb connects, as :class:`Place` reads it; None for no gdb.
        breaks: Places to stop at: symbols, addresses, ``service:NAME``, ``accept:ADDR``.
        trace: File for the instructions between the first two stops.
        prompts: Whether a prompt opens at each stop.
    """

    gdb: str | None = None
    breaks: tuple[str, ...] = ()
    trace: str | None = None
    prompts: bool = False

    @property
    def wanted(self) -> bool:
        """Whether anything was asked for."""
        return self.gdb is not None or bool(self.breaks) or self.trace is not None or self.prompts


class DebugSession:
    """A debugged run: a context.

    Args:
        options: What was asked for.
        note: Takes lines for the user.
        ask: Returns a line that the user types at a prompt, None at the end of input.
        shell: Makes the shell of the prompts.

    Raises:
        UsageError: Options that cannot be.
        HostError: The place for gdb cannot be listened at, or the file cannot be written.
    """

    def __init__(
        self,
        options: DebugOptions,
        note: Callable[[str], None],
        ask: Callable[[str], str | None] = lambda prompt: None,
        shell: Callable[[Scene, MonitorCommands], StopShell] | None = None,
    ) -> None:
        self._options = options
        self._note = note
        self._ask = ask
        self._make_shell = shell if options.prompts else None
        self._server = None if options.gdb is None else GdbServer(Place(options.gdb), note)
        self._trace = None if options.trace is None else InstructionTrace(Path(options.trace))
        self._debugger: Debugger | None = None
        self._events: EventBreaks | None = None
        self._breaks: BreakList | None = None
        self._status = 0

    def __enter__(self) -> DebugSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._trace is not None:
            self._trace.close()
        if self._server is not None:
            self._server.exited(self._status if error is None else 1)
            self._server.close()

    def attach(self, scene: Scene) -> None:
        """The machine has been made and has not run yet."""
        reports = StopReports(self._note, self._ask)
        front = self._server or reports
        self._debugger = debugger = Debugger(
            scene.board, front, halts_at_start=self._server is not None or self._options.prompts
        )
        self._events = events = EventBreaks(debugger, scene)
        HostWrites(debugger, scene)
        monitor = MonitorCommands(debugger, scene, events)
        if self._server is None:
            shell = None if self._make_shell is None else self._make_shell(scene, monitor)
            reports.serve(scene, debugger, shell, self._trace)
        else:
            self._server.serve(debugger, monitor, ServedFiles(lambda: libraries_of(scene.images())), events)
        self._breaks = BreakList(self._options.breaks, debugger, scene, events)
        debugger.attach()

    @property
    def repeats(self) -> bool:
        """Whether the run is a repetition, of which the user is to see nothing."""
        return self._server is not None and self._server.repeats

    def refuse_repetition(self, why: str) -> None:
        """The run would not be the same if it were repeated."""
        if self._server is not None:
            self._server.cannot_repeat = why

    def repeated(self, run: Callable[[], T], refused: str = "") -> T:
        """Run, and again from the start whenever the debugger goes back.

        Args:
            run: Makes the machine, attaches it and runs it; each time the same happens in it.
            refused: Why it would not be the same; empty where it is.
        """
        self.refuse_repetition(refused)
        while True:
            try:
                return run()
            except Rewound:
                continue

    def ended(self, error: EngineError) -> None:
        """The run has ended by an exception: where it is one to look at, the machine stands still for it."""
        if self._debugger is None or self._events is None or not self._events.violation:
            return
        if not isinstance(error, _PLAIN_ENDS):
            self._debugger.ended(" ".join(str(error).split()))

    def exited(self, status: int) -> None:
        """The run is over: its exit status, for gdb; stops that were never set are told of."""
        for place in self._breaks.never_set if self._breaks is not None else ():
            self._note(f"--break {place}: there was no symbol, image or service of that name")
        self._status = status
