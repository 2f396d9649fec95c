"""What gdb's packets ask for, answered from a stopped machine.

Source: GDB manual, appendix E (Remote Serial Protocol).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.gdb.files import PROGRAM, ServedFiles
from tdvfsh.engine.debug.gdb.packets import LONGEST_PACKET
from tdvfsh.engine.debug.gdb.registers import Register, target_description
from tdvfsh.engine.debug.halt import Access, Cause, Halt, Resume, Watch
from tdvfsh.engine.debug.packet_fields import LARGEST_READ, Malformed, data_of, number_of, piece, register_text, span_of
from tdvfsh.lazy_typing import Final, Protocol

OWNER: Final = "gdb"
_OK: Final = b"OK"
_ERROR: Final = b"E01"
_NO_MEMORY: Final = b"E14"
_UNKNOWN: Final = b""
_SIGNALS: Final = {Cause.INTERRUPT: 2, Cause.END: 11}
_TRAP: Final = 5
_WATCHES: Final = {b"2": Access.WRITE, b"3": Access.READ, b"4": Access.EITHER}


class Monitor(Protocol):
    """What answers ``monitor`` commands."""

    def answer(self, line: str, vcpu: int) -> str:
        """The output of a command."""
        ...


class Backwards(Exception):
    """gdb goes back further than the steps that are recorded.

    Args:
        by_step: Whether by one step; to a breakpoint otherwise.
    """

    def __init__(self, *, by_step: bool) -> None:
        super().__init__(by_step)
        self.by_step = by_step


class Detached(Exception):
    """gdb lets the guest run on without it."""


class Killed(Exception):
    """gdb ends the run."""


class GdbStub:
    """Answers of one gdb session.

    Args:
        debugger: The debugger.
        monitor: Answers ``monitor`` commands.
        files: The files and libraries that gdb can read from us.
        step_undone: Called where a recorded step was taken back.

    Attributes:
        acknowledges: Whether packets are still to be acknowledged.
        selected: The vCPU that registers and memory are of.
        places: gdb's breakpoints and watchpoints, as in its packets.
    """

    def __init__(
        self,
        debugger: Debugger,
        monitor: Monitor,
        files: ServedFiles,
        step_undone: Callable[[], None] = lambda: None,
    ) -> None:
        self._debugger = debugger
        self._target = debugger.target
        self._monitor = monitor
        self._files = files
        self.step_undone = step_undone
        self._description = target_description(self._target.registers).encode()
        self._resumed = 0
        self._features: frozenset[bytes] = frozenset()
        self._libraries: bytes | None = None
        self._last: Halt = Halt(Cause.START, 0)
        self.acknowledges = True
        self.selected = 0
        self.places: dict[bytes, None] = {}
        self._commands: dict[bytes, Callable[[bytes], bytes | Resume]] = {
            b"?": lambda rest: self.stop_reply(self._last),
            b"g": lambda rest: self._read_registers(),
            b"G": self._write_registers,
            b"p": self._read_register,
            b"P": self._write_register,
            b"m": self._read_memory,
            b"M": self._write_memory,
            b"X": self._write_binary,
            b"H": self._select,
            b"T": self._is_alive,
            b"Z": self._insert,
            b"z": self._remove,
            b"c": lambda rest: self._continue(rest, None),
            b"C": lambda rest: self._continue(rest.partition(b";")[2], None),
            b"s": lambda rest: self._continue(rest, self._resumed),
            b"S": lambda rest: self._continue(rest.partition(b";")[2], self._resumed),
            b"D": self._detach,
            b"k": self._kill,
            b"b": self._backwards,
        }

    # ---- dispatch -----------------------------------------------------------------------------------------------

    def answer(self, data: bytes) -> bytes | Resume:
        """The answer to a packet, or how the machine is to continue.

        Raises:
            Backwards: It goes back to what was before the recorded steps.
            Detached, Killed: The session is over.
        """
        try:
            if data[:1] in (b"q", b"Q", b"v"):
                return self._query(data)
            command = self._commands.get(data[:1])
            return _UNKNOWN if command is None else command(data[1:])
        except Malformed:
            return _ERROR

    def _query(self, data: bytes) -> bytes | Resume:
        if data.startswith(b"qSupported"):
            return self._supported(data)
        if data.startswith(b"vCont?"):
            return b"vCont;c;C;s;S"
        if data.startswith(b"vCont;"):
            return self._continue_threads(data.removeprefix(b"vCont;"))
        if data.startswith(b"qXfer:"):
            return self._transfer(data.split(b":", 4)[1:])
        if data.startswith(b"qRcmd,"):
            return self._run_command(data.removeprefix(b"qRcmd,"))
        if data.startswith(b"vFile:"):
            return self._files.answer(data.removeprefix(b"vFile:"))
        if data.startswith(b"qThreadExtraInfo,"):
            return self._describe_thread(data.partition(b",")[2])
        if data.startswith(b"vKill"):
            return self._kill(b"")
        if data == b"QStartNoAckMode":
            self.acknowledges = False
            return _OK
        fixed = {
            b"qC": b"QC%x" % (self._target.current + 1),
            b"qAttached": b"1",
            b"qfThreadInfo": b"m" + b",".join(b"%x" % (number + 1) for number in self._target.started),
            b"qsThreadInfo": b"l",
            b"qTStatus": b"",
        }
        return fixed.get(data.partition(b":")[0], _UNKNOWN)

    def _supported(self, data: bytes) -> bytes:
        self._features = frozenset(data.partition(b":")[2].split(b";"))
        return (
            b"PacketSize=%x;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;qXfer:features:read+;"
            b"qXfer:threads:read+;qXfer:exec-file:read+;qXfer:libraries:read+;ReverseStep+;ReverseContinue+"
        ) % LONGEST_PACKET

    # ---- stops --------------------------------------------------------------------------------------------------

    def stop_reply(self, halt: Halt) -> bytes:
        """Why the machine has halted, as gdb is told."""
        self._last = halt
        self.selected = self._resumed = halt.vcpu
        reply = b"T%02xthread:%x;" % (_SIGNALS.get(halt.cause, _TRAP), halt.vcpu + 1)
        if halt.access is not None:
            reply += b"%b:%x;" % (halt.access.value.encode(), halt.address)
        elif halt.cause is Cause.BREAKPOINT and b"swbreak+" in self._features and self._is_gdb_s_own():
            reply += b"swbreak:;"
        elif halt.cause is Cause.REPLAY_BEGINS:
            reply += b"replaylog:begin;"
        return reply

    def library_reply(self, halt: Halt) -> bytes | None:
        """What gdb is told before why the machine has halted, where code was loaded since it last asked.

        gdb reads the list then and lets the machine run on without its user.
        """
        libraries = self._files.libraries()
        if self._libraries is None or libraries == self._libraries:
            return None
        self._libraries = libraries
        return b"T%02xthread:%x;library:;" % (_TRAP, halt.vcpu + 1)

    def _is_gdb_s_own(self) -> bool:
        """Whether gdb has set the breakpoint; it runs on at once from one that it does not know."""
        pointer = self._target.register(self._target.current, "rip")
        return OWNER in self._debugger.breakpoints.owners(pointer)

    def _continue(self, where: bytes, step: int | None) -> Resume:
        if where:
            self._target.write_register(self._target.current, self._register_named("rip"), number_of(where))
        return Resume(step)

    def _continue_threads(self, actions: bytes) -> bytes | Resume:
        """A step of one thread while the others run, or all run."""
        step: int | None = None
        for action in actions.split(b";"):
            kind, _, thread = action.partition(b":")
            if kind[:1] not in (b"c", b"C", b"s", b"S"):
                return _ERROR
            if kind[:1] in (b"s", b"S") and step is None:
                step = self._thread(thread) if thread and thread != b"-1" else self._resumed
        return Resume(step)

    def _backwards(self, rest: bytes) -> bytes:
        """One recorded step back, or back to a breakpoint among them."""
        steps = self._debugger.steps
        if rest not in (b"s", b"c"):
            return _UNKNOWN
        watches = [piece for _, piece in self._debugger.watchpoints.pieces] if rest == b"c" else []
        reads = any(watch.access is not Access.WRITE for watch in watches)  # which are not recorded
        while not reads and steps.back():
            self.step_undone()
            vcpu = self._target.current
            if rest == b"s":
                return self.stop_reply(Halt(Cause.STEP, vcpu))
            wrote = next((watch for watch in watches if any(watch.overlaps(*each) for each in steps.wrote)), None)
            if wrote is not None:
                return self.stop_reply(Halt(Cause.WATCHPOINT, vcpu, wrote.access, wrote.linear or 0))
            if self._target.register(vcpu, "rip") in self._debugger.breakpoints:
                return self.stop_reply(Halt(Cause.BREAKPOINT, vcpu))
        raise Backwards(by_step=rest == b"s")

    def _detach(self, rest: bytes) -> bytes:
        raise Detached

    def _kill(self, rest: bytes) -> bytes:
        raise Killed

    # ---- threads ------------------------------------------------------------------------------------------------

    def _thread(self, text: bytes) -> int:
        number = number_of(text) - 1
        if number not in self._target.started:
            raise Malformed
        return number

    def _select(self, rest: bytes) -> bytes:
        kind, text = rest[:1], rest[1:]
        number = self._target.current if text in (b"0", b"-1") else self._thread(text)
        if kind == b"g":
            self.selected = number
        elif kind == b"c":
            self._resumed = number
        return _OK

    def _is_alive(self, rest: bytes) -> bytes:
        self._thread(rest)
        return _OK

    def _describe_thread(self, text: bytes) -> bytes:
        number = self._thread(text)
        return f"vCPU {number}, {self._target.state_of(number)}".encode().hex().encode()

    def _threads(self) -> bytes:
        rows = "".join(
            f'<thread id="{number + 1:x}" core="{number}" name="vCPU {number}">{self._target.state_of(number)}</thread>'
            for number in self._target.started
        )
        return f'<?xml version="1.0"?><threads>{rows}</threads>'.encode()

    # ---- registers ----------------------------------------------------------------------------------------------

    def _register_named(self, name: str) -> Register:
        return next(register for register in self._target.registers if register.name == name)

    def _read_registers(self) -> bytes:
        values = zip(self._target.registers, self._target.read_all(self.selected), strict=True)
        return b"".join(register_text(register, value) for register, value in values)

    def _write_registers(self, rest: bytes) -> bytes:
        data = data_of(rest)
        if len(data) != sum(register.size for register in self._target.registers):
            return _ERROR
        for register in self._target.registers:
            value, data = int.from_bytes(data[: register.size], "little"), data[register.size :]
            self._target.write_register(self.selected, register, value)
        return _OK

    def _register_numbered(self, text: bytes) -> Register:
        number = number_of(text)
        if number >= len(self._target.registers):
            raise Malformed
        return self._target.registers[number]

    def _read_register(self, rest: bytes) -> bytes:
        register = self._register_numbered(rest)
        return register_text(register, self._target.read_register(self.selected, register))

    def _write_register(self, rest: bytes) -> bytes:
        number, _, text = rest.partition(b"=")
        register, data = self._register_numbered(number), data_of(text)
        if len(data) != register.size:
            return _ERROR
        done = self._target.write_register(self.selected, register, int.from_bytes(data, "little"))
        return _OK if done else _ERROR

    # ---- memory -------------------------------------------------------------------------------------------------

    def _read_memory(self, rest: bytes) -> bytes:
        address, size = span_of(rest)
        data = self._target.read(self.selected, address, min(size, LARGEST_READ))
        return data.hex().encode() if data or not size else _NO_MEMORY

    def _write_memory(self, rest: bytes) -> bytes:
        span, _, text = rest.partition(b":")
        address, size = span_of(span)
        data = data_of(text)
        if len(data) != size:
            return _ERROR
        return _OK if self._target.write(self.selected, address, data) else _NO_MEMORY

    def _write_binary(self, rest: bytes) -> bytes:
        span, _, data = rest.partition(b":")
        address, size = span_of(span)
        if len(data) != size:
            return _ERROR
        return _OK if self._target.write(self.selected, address, data) else _NO_MEMORY

    # ---- breakpoints --------------------------------------------------------------------------------------------

    def _insert(self, rest: bytes) -> bytes:
        return self._place(rest, inserts=True)

    def _remove(self, rest: bytes) -> bytes:
        return self._place(rest, inserts=False)

    def _place(self, rest: bytes, *, inserts: bool) -> bytes:
        """Set or remove a breakpoint or a watchpoint."""
        place = rest.partition(b";")[0]
        kind, _, span = place.partition(b",")
        address, size = span_of(span)
        access = _WATCHES.get(kind)
        if access is None and kind not in (b"0", b"1"):
            return _UNKNOWN
        if not inserts:
            self.places.pop(place, None)
            if access is None:
                self._debugger.breakpoints.remove(address, OWNER)
            else:
                self._debugger.watchpoints.remove(Watch(address, size, access))
            return _OK
        if access is None:
            self._debugger.breakpoints.add(address, OWNER)
        elif not self._debugger.watchpoints.add(self.selected, Watch(address, size, access)):
            return _NO_MEMORY
        self.places[place] = None
        return _OK

    def set_places(self, places: Iterable[bytes]) -> None:
        """Set breakpoints and watchpoints, as in packets, and no others of gdb's."""
        for place in list(self.places):
            self._remove(place)
        for place in places:
            self._insert(place)

    # ---- files and commands -------------------------------------------------------------------------------------

    def _transfer(self, parts: list[bytes]) -> bytes:
        if len(parts) != 4 or parts[1] != b"read":
            return _UNKNOWN
        what, _, annex, span = parts
        if what == b"features" and annex == b"target.xml":
            return piece(self._description, span)
        if what == b"threads":
            return piece(self._threads(), span)
        if what == b"exec-file":
            return piece(PROGRAM.encode(), span)
        if what == b"libraries":
            if self._libraries is None or span_of(span)[0] == 0:
                self._libraries = self._files.libraries()
            return piece(self._libraries, span)
        return _UNKNOWN

    def _run_command(self, text: bytes) -> bytes:
        line = data_of(text).decode("utf-8", "replace")
        output = self._monitor.answer(line, self._last.vcpu)  # gdb does not say which thread its user has selected
        return output.encode().hex().encode() or _OK
