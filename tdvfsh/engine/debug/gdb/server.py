"""A front that is a gdb: waits for one to connect, and lets it look and decide at every halt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.events import EventBreaks
from tdvfsh.engine.debug.gdb.connection import ClientGone, Connection, Place, SocketWatch
from tdvfsh.engine.debug.gdb.files import ServedFiles
from tdvfsh.engine.debug.gdb.packets import Kind
from tdvfsh.engine.debug.gdb.stub import Backwards, Detached, GdbStub, Killed, Monitor
from tdvfsh.engine.debug.halt import Cause, Halt, Resume
from tdvfsh.engine.debug.history import Entry, History, Stops
from tdvfsh.engine.debug.repetition import Aim, Present, Repetition, Rewound, by_step, to_breakpoint
from tdvfsh.engine.errors import EngineError
from tdvfsh.errors import UsageError
from tdvfsh.formats.text import printable
from tdvfsh.lazy_typing import Final

_WITHOUT_GDB: Final = "the run went on without gdb for a while"


class KilledByDebugger(EngineError):
    """End of a run: the debugger's user ended it."""


class GdbServer:
    """The server.

    Args:
        place: Where to listen.
        note: Takes lines for the user.

    Attributes:
        cannot_repeat: Why the run cannot begin again; empty where whoever runs it lets it, at :class:`Rewound`.
    """

    def __init__(self, place: Place, note: Callable[[str], None]) -> None:
        self._note = note
        self._connection = Connection(place, note)
        if not place.is_local:
            note(f"gdb: listening beyond this host at {self._connection.where}: whoever connects controls the guest")
        self._watch: SocketWatch | None = None
        self._debugger: Debugger | None = None
        self._events: EventBreaks | None = None
        self._stub: GdbStub | None = None
        self._make_stub: Callable[[], GdbStub] | None = None
        self._told = False
        self._history = History()
        self._repetition: Repetition | None = None
        self._abandoned: Stops | None = None
        self._halt = Halt(Cause.START, 0)
        self.cannot_repeat = "this run cannot begin again"

    @property
    def where(self) -> str:
        """What to tell gdb, as in ``target remote WHERE``."""
        return self._connection.where

    @property
    def repeats(self) -> bool:
        """Whether what happens is a repetition, of which the user is to see nothing."""
        return self._repetition is not None

    def serve(self, debugger: Debugger, monitor: Monitor, files: ServedFiles, events: EventBreaks) -> None:
        """The machine that gdb is to see.

        Args:
            debugger: Its debugger, whose front this is.
            monitor: Answers ``monitor`` commands.
            files: What gdb can read.
            events: What it halts for besides breakpoints.
        """
        if self._watch is not None:
            self._watch.close()
        self._debugger, self._events, self._stub = debugger, events, None
        self._make_stub = lambda: GdbStub(debugger, monitor, files, self._step_undone)
        self._watch = SocketWatch(debugger.interruption.request)
        self._history.clear()
        debugger.before_run.append(self._report_progress)

    def close(self) -> None:
        """End it; a gdb that is still there sees the connection close."""
        if self._watch is not None:
            self._watch.close()
        self._connection.close()

    def exited(self, status: int) -> None:
        """The run has ended: tell gdb the exit status."""
        if self._stub is not None and self._connection.connected:
            with suppress(ClientGone):
                self._connection.send(b"W%02x" % (status & 0xFF))
            self._connection.drop()

    # ---- the front ----------------------------------------------------------------------------------------------

    def halted(self, halt: Halt) -> Resume:
        """Let gdb look at the machine.

        Raises:
            KilledByDebugger: gdb ends the run.
        """
        if self._watch is not None:
            self._watch.disarm()
        self._halt = halt
        self._history.halted(0 if self._debugger is None else self._debugger.interruption.begun)
        if self._abandoned is not None:
            stops, self._abandoned = self._abandoned, None
            self._answer_entry(Entry(stops=stops))
        if self._repetition is not None:
            self._repeat(halt, self._repetition)
        elif not self._connection.connected:
            if halt.cause is Cause.END:
                return Resume()
            if halt.cause is Cause.START:
                self._note(f"gdb: waiting for a connection: gdb -ex 'target remote {self.where}'")
            self._accept(halt)
        elif self._told:
            self._tell_of_libraries(halt)
            self._tell(halt)
        resume = self._session()
        if self._watch is not None:
            self._watch.arm(self._connection.watched)
        if self._connection.has_more and self._debugger is not None:
            self._debugger.interruption.request()  # it came together with the packet that lets the guest run
        return resume

    def interrupts(self) -> bool:
        """Whether a gdb has connected, or the connected one interrupts."""
        assert self._debugger is not None
        if not self._connection.connected:
            interrupted = self._connection.accept(0)
            if interrupted:
                self._history.unknown = _WITHOUT_GDB
                self._begin(Halt(Cause.INTERRUPT, 0))
        else:
            try:
                interrupted = self._connection.interrupted()
            except ClientGone as gone:
                self._lose(str(gone))
                interrupted = False
            if interrupted:
                self._history.interrupted(self._debugger.interruption.begun)
                self._halt_repetition()
        if not interrupted and self._watch is not None:
            self._watch.arm(self._connection.watched)
        return interrupted

    # ---- a session ----------------------------------------------------------------------------------------------

    def _accept(self, halt: Halt) -> None:
        self._connection.accept()
        self._begin(halt)

    def _begin(self, halt: Halt) -> None:
        assert self._make_stub is not None
        assert self._debugger is not None
        self._stub = self._make_stub()
        self._stub.stop_reply(halt._replace(vcpu=self._debugger.target.current))
        self._debugger.let_interrupt()
        if not self._debugger.interruption.counts:
            self._history.unknown = "on this host blocks of code are not counted"
        self._told = False

    def _tell_of_libraries(self, halt: Halt) -> None:
        """Have gdb read the list of libraries, where it is not the one that gdb knows."""
        if self._stub is None or halt.cause is Cause.STEP:
            return
        try:
            reply = self._stub.library_reply(halt)
            if reply is not None:
                self._send(reply)
                self._session()
        except ClientGone as gone:
            self._lose(str(gone))

    def _tell(self, halt: Halt) -> None:
        """Answer the packet that let the machine run."""
        assert self._stub is not None
        self._told = False
        if not self._connection.connected:
            return
        try:
            if halt.text:
                self._say(halt.text)
            self._connection.send(self._stub.stop_reply(halt))
        except ClientGone as gone:
            self._lose(str(gone))

    def _session(self) -> Resume:
        """Answer until the machine is to continue."""
        while self._repetition is not None or self._connection.connected:
            try:
                resume = self._answer_gdb() if self._repetition is None else self._answer_again(self._repetition)
                if resume is not None:
                    self._told = True
                    return resume
            except ClientGone as gone:
                self._lose(str(gone))
            except Detached:
                self._answer_last(b"OK")
                self._lose("detached; the guest runs on")
            except Killed:
                self._answer_last(b"OK")
                self._lose("gdb ends the run")
                raise KilledByDebugger("ended by gdb") from None
        return Resume()

    def _answer_gdb(self) -> Resume | None:
        """Answer gdb's next packet."""
        assert self._stub is not None
        item = self._connection.receive()
        if item.kind is Kind.INTERRUPT:
            return None
        try:
            answer = self._stub.answer(item.data)
        except Backwards as backwards:
            self._go_back(backwards.by_step)
            return None
        self._history.asked(item.data)
        if isinstance(answer, Resume):
            return answer
        self._connection.send(answer)
        self._connection.acknowledges = self._stub.acknowledges
        return None

    def _send(self, data: bytes) -> None:
        if self._repetition is None:
            self._connection.send(data)

    def _say(self, text: str) -> None:
        """Text for gdb's user."""
        shown = printable(text.encode("utf-8", "replace"))
        self._connection.send(b"O" + f"{shown}\n".encode().hex().encode())

    def _answer_last(self, data: bytes) -> None:
        with suppress(ClientGone):
            self._connection.send(data)

    def _lose(self, why: str) -> None:
        """Without gdb the guest runs on as if there had been none."""
        self._connection.drop(why)
        self._repetition = None
        self._history.unknown = _WITHOUT_GDB
        if self._debugger is not None:
            self._debugger.detach()

    # ---- backwards ----------------------------------------------------------------------------------------------

    def _stops(self) -> Stops:
        assert self._stub is not None
        assert self._events is not None
        return Stops(tuple(self._stub.places), tuple(self._events.asked))

    def _step_undone(self) -> None:
        self._history.undo_step(self._stops())

    def _go_back(self, steps: bool) -> None:
        """Begin again, to come to an earlier moment.

        Raises:
            Rewound: It can be done.
        """
        assert self._stub is not None
        assert self._debugger is not None
        history, debugger = self._history, self._debugger
        why = self.cannot_repeat or history.unknown
        if why or history.halts < 2:
            if why:
                self._say(f"not further back: {why}")
            self._connection.send(self._stub.stop_reply(Halt(Cause.REPLAY_BEGINS, debugger.target.current)))
            return
        self._say("going back: the run begins again")
        present, stops = Present.of(debugger, debugger.target.current), self._stops()
        if steps:
            self._repetition = by_step(history, present, stops)
        else:
            self._repetition = to_breakpoint(history, present, stops, debugger)
        raise Rewound

    def _repeat(self, halt: Halt, repetition: Repetition) -> None:
        """A halt of a run that is repeated."""
        assert self._debugger is not None
        if self._stub is None:
            self._begin(halt)
            if repetition.aim is Aim.COUNT:
                self._debugger.arrivals.observe(repetition.addresses, repetition.watches)
            return
        if not repetition.is_at_its_end:
            self._tell_of_libraries(halt)
        self._stub.stop_reply(halt)

    def _answer_again(self, repetition: Repetition) -> Resume | None:
        """Answer what gdb has sent the first time.

        Raises:
            Rewound: One more run is needed.
        """
        assert self._stub is not None
        entry = repetition.next
        if entry is None:
            return self._came_to_the_end(repetition)
        return self._answer_entry(entry)

    def _answer_entry(self, entry: Entry) -> Resume | None:
        assert self._stub is not None
        self._history.append(entry)
        if entry.stops is not None:
            self._set_stops(entry.stops)
            return None
        answer = self._stub.answer(entry.packet)
        return answer._replace(until=entry.until) if isinstance(answer, Resume) else None

    def _set_stops(self, stops: Stops) -> None:
        assert self._stub is not None
        assert self._events is not None
        self._stub.set_places(stops.places)
        self._events.wait_for(("none",))
        for words in stops.events:
            with suppress(UsageError):  # what it names may not be there yet
                self._events.wait_for(words)

    def _came_to_the_end(self, repetition: Repetition) -> Resume | None:
        """All that is known was repeated."""
        assert self._stub is not None
        assert self._debugger is not None
        if repetition.aim is Aim.COUNT:
            self._repetition = repetition.up_to(self._debugger.arrivals.latest, self._history)
            raise Rewound
        if repetition.aim is Aim.STEP:
            if not repetition.present.is_now(self._debugger) and not repetition.has_gone_astray:
                return self._answer_entry(repetition.step())
            if not repetition.steps:
                self._repetition = by_step(self._history, repetition.present, repetition.stops, repetition.before)
                raise Rewound
            if not self._debugger.steps.back():
                self._repetition = repetition.with_a_step_less()
                raise Rewound
            self._step_undone()
        self._repetition = None
        self._set_stops(repetition.stops)
        self._tell_of_moment(repetition)
        return None

    def _tell_of_moment(self, repetition: Repetition) -> None:
        assert self._stub is not None
        halt = self._halt
        if not repetition.found:
            halt = halt._replace(cause=Cause.REPLAY_BEGINS)
        elif repetition.by_step:
            halt = Halt(Cause.STEP, halt.vcpu)
        elif halt.cause is not Cause.WATCHPOINT:
            halt = Halt(Cause.BREAKPOINT, halt.vcpu)
        self._told = False
        self._connection.send(self._stub.stop_reply(halt))

    def _halt_repetition(self) -> None:
        """gdb's user does not want to wait any longer: the run stands where it has come to."""
        repetition, self._repetition = self._repetition, None
        if repetition is not None:
            self._told = True
            self._abandoned = repetition.stops

    def _report_progress(self) -> None:
        if self._repetition is not None and self._debugger is not None:
            text = self._repetition.progress(self._debugger.target.board.clock.now_ns)
            if text is not None:
                with suppress(ClientGone):
                    self._say(text)
