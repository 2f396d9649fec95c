"""A front that is a gdb: waits for one to connect, and lets it look and decide at every halt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from tdvfsh.engine.debug.connection import ClientGone, Connection, Place, SocketWatch
from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.gdb_files import ServedFiles
from tdvfsh.engine.debug.gdb_stub import Detached, GdbStub, Killed, Monitor
from tdvfsh.engine.debug.halt import Cause, Halt, Resume
from tdvfsh.engine.debug.packets import Kind
from tdvfsh.engine.errors import EngineError
from tdvfsh.formats.text import printable


class KilledByDebugger(EngineError):
    """End of a run: the debugger's user ended it."""


class GdbServer:
    """The server.

    Args:
        place: Where to listen.
        note: Takes lines for the user.
    """

    def __init__(self, place: Place, note: Callable[[str], None]) -> None:
        self._note = note
        self._connection = Connection(place, note)
        if not place.is_local:
            note(f"gdb: listening beyond this host at {self._connection.where}: whoever connects controls the guest")
        self._watch: SocketWatch | None = None
        self._debugger: Debugger | None = None
        self._stub: GdbStub | None = None
        self._make_stub: Callable[[], GdbStub] | None = None
        self._told = False

    @property
    def where(self) -> str:
        """What to tell gdb, as in ``target remote WHERE``."""
        return self._connection.where

    def serve(self, debugger: Debugger, monitor: Monitor, files: ServedFiles) -> None:
        """The machine that gdb is to see.

        Args:
            debugger: Its debugger, whose front this is.
            monitor: Answers ``monitor`` commands.
            files: What gdb can read.
        """
        self._debugger = debugger
        self._make_stub = lambda: GdbStub(debugger, monitor, files)
        self._watch = SocketWatch(debugger.interruption.request)

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
        if not self._connection.connected:
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
        if not self._connection.connected:
            interrupted = self._connection.accept(0)
            if interrupted:
                self._begin(Halt(Cause.INTERRUPT, 0))
        else:
            try:
                interrupted = self._connection.interrupted()
            except ClientGone as gone:
                self._lose(str(gone))
                interrupted = False
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
        self._debugger.interruption.attach()
        self._told = False

    def _tell_of_libraries(self, halt: Halt) -> None:
        """Have gdb read the list of libraries, where it is not the one that gdb knows."""
        if self._stub is None or halt.cause is Cause.STEP:
            return
        try:
            reply = self._stub.library_reply(halt)
            if reply is not None:
                self._connection.send(reply)
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
                text = printable(halt.text.encode("utf-8", "replace"))
                self._connection.send(b"O" + f"{text}\n".encode().hex().encode())
            self._connection.send(self._stub.stop_reply(halt))
        except ClientGone as gone:
            self._lose(str(gone))

    def _session(self) -> Resume:
        """Answer until the machine is to continue."""
        assert self._stub is not None
        while self._connection.connected:
            try:
                item = self._connection.receive()
                if item.kind is Kind.INTERRUPT:
                    continue
                answer = self._stub.answer(item.data)
                if isinstance(answer, Resume):
                    self._told = True
                    return answer
                self._connection.send(answer)
                self._connection.acknowledges = self._stub.acknowledges
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

    def _answer_last(self, data: bytes) -> None:
        with suppress(ClientGone):
            self._connection.send(data)

    def _lose(self, why: str) -> None:
        """Without gdb the guest runs on as if there had been none."""
        self._connection.drop(why)
        if self._debugger is not None:
            self._debugger.detach()
