"""Moments of a shell to go back to: before each line, everything that is not on the host's disk.

The shell's own state is small and copied before every line. The machine's is taken only when a command is about to run
that could touch the machine, and shares what has not changed with the moment before.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.shell.identity import StillClock

if TYPE_CHECKING:
    from tdvfsh.machine import Machine
    from tdvfsh.machine.snapshot import MachineSnapshot
    from tdvfsh.shell.shell import Shell

DEPTH = 100
"""Lines that can be undone."""

BYSTANDERS = frozenset(
    (
        "alias", "attrib", "cd", "cls", "comp", "cp", "echo", "exit", "help", "hexedit", "ls", "map", "mkdir", "mode",
        "mv", "parse", "pause", "rm", "set", "setsize", "touch", "type", "ver", "vol",
    )
)  # fmt: skip
"""Commands that leave the machine alone; a test holds each to it."""

_STEPS = frozenset(("undo", "redo"))
_STATUS_VARIABLES = ("lasterror", "debuglasterror")


class Moment:
    """The shell as it was before ``line``.

    Attributes:
        line: What ran then.
        machine: The shell's machine, or None.
        snapshot: The machine's state; None where no command came that could change it.
        touched: A command came that could touch the machine, or make the first one.
    """

    __slots__ = ("_clock", "_files", "_shell", "_state", "line", "machine", "snapshot", "touched")

    def __init__(self, shell: Shell, line: str) -> None:
        self.line = line
        self.machine = shell.machine
        self.snapshot: MachineSnapshot | None = None
        self.touched = False
        self._clock = (shell.clock, shell.clock.now_ns)
        self._shell = (
            shell.td_options, shell.start_time, shell.current, shell.interpreter.echo, shell.environment.state(),
            shell.aliases.state(), shell.drives.state(),
        )  # fmt: skip
        self._files = [(drive.filesystem, drive.filesystem.state()) for drive in shell.drives.drives]
        self._state = {key: _copied(value) for key, value in shell.state.items()}

    def take_machine(self, before: MachineSnapshot | None) -> None:
        """Keep the machine's state too; ``before`` is one to share with."""
        if not self.touched:
            self.touched = True
            machine = _machine(self.machine)
            if machine is not None:
                self.snapshot = machine.snapshot(before)

    def restore(self, shell: Shell, keep: tuple[str, ...] = ()) -> None:
        """Bring the shell back; the families of commands in ``keep`` keep what they have."""
        shell.machine = self.machine
        machine = _machine(self.machine)
        if machine is not None and self.snapshot is not None:
            machine.restore(self.snapshot)
        clock, now = self._clock
        shell.clock = StillClock(now) if isinstance(clock, StillClock) else clock
        shell.td_options, shell.start_time, shell.current, shell.interpreter.echo = self._shell[:4]
        shell.environment.restore(self._shell[4])
        shell.aliases.restore(self._shell[5])
        shell.drives.restore(self._shell[6])
        for filesystem, state in self._files:
            filesystem.restore(state)
        kept = {key: shell.state[key] for key in keep if key in shell.state}
        shell.state.clear()
        shell.state.update({key: _copied(value) for key, value in self._state.items()}, **kept)

    def forget(self, family: str) -> None:
        """Leave what a family of commands keeps out of this moment: going back will not bring it."""
        self._state.pop(family, None)

    def variables(self) -> dict[str, str]:
        """The variables as they were."""
        return dict(self._shell[4][0])

    def is_now(self, shell: Shell) -> bool:
        """Whether the shell is as it was then, but for the last status, the journal and the memory map's key."""
        now = Moment(shell, "")
        mine, theirs = self.variables(), now.variables()
        for name in _STATUS_VARIABLES:
            mine.pop(name, None)
            theirs.pop(name, None)
        if [*mine.items()] != [*theirs.items()] or now.machine is not self.machine:
            return False
        if not _same(self._state, now._state):
            return False
        if self._shell[:4] != now._shell[:4] or self._shell[5:] != now._shell[5:]:
            return False
        if self._shell[4][1] != now._shell[4][1] or not _same(self._files, now._files):
            return False
        if self.machine is None and self._clock != now._clock:
            return False
        machine, then = _machine(self.machine), self.snapshot
        return machine is None or then is None or machine.snapshot(then).shows_the_same(then)


class History:
    """Moments to go back to, and moments that ``undo`` left."""

    __slots__ = ("_open", "done", "undone")

    def __init__(self) -> None:
        self.done: list[Moment] = []
        self.undone: list[Moment] = []
        self._open: list[Moment] = []

    def begin(self, shell: Shell, line: str) -> None:
        """``line`` is about to run: typed, or in a script."""
        moment = Moment(shell, line.strip())
        self._open.append(moment)
        if moment.line:
            self.done.append(moment)

    def end(self, shell: Shell) -> None:
        """The line has run; what scripts did inside it is one step now."""
        moment = self._open.pop()
        if moment not in self.done:
            return
        del self.done[self.done.index(moment) + 1 :]
        if self.undone and not moment.is_now(shell):
            self.undone.clear()
        if len(self.done) > DEPTH:
            oldest = next(one for one in self.done if one not in self._open)
            self.done.remove(oldest)

    def before_command(self, name: str) -> None:
        """A command, or a program (an empty name), is about to run inside the open lines."""
        if name in BYSTANDERS or name in _STEPS:
            return
        for moment in self._open:
            if not moment.touched:
                moment.take_machine(self._last_snapshot(moment))

    def _last_snapshot(self, than: Moment) -> MachineSnapshot | None:
        for moment in reversed(self.done):
            if moment.snapshot is not None and moment.machine is than.machine:
                return moment.snapshot
        return None

    @property
    def current(self) -> Moment | None:
        """The line that runs now, or None."""
        return self._open[-1] if self._open else None

    def before_now(self) -> list[Moment]:
        """The moments before the lines that have run, the last one first; not that of the line that runs now."""
        return [moment for moment in reversed(self.done) if moment is not self.current]

    def undo(self, shell: Shell) -> Moment | None:
        """Go back before the last line that changed something; returns that moment, or None where there is none."""
        self._forget_current()
        behind = next((at for at in reversed(range(len(self.done))) if not self.done[at].is_now(shell)), -1)
        if behind < 0 or any(moment in self._open for moment in self.done[behind:]):
            return None
        moment = self.done[behind]
        self.undone.append(full_moment(shell, moment.line, moment.snapshot))
        while len(self.done) > behind:  # those that changed nothing go too, for the journal's sake
            self.done.pop().restore(shell)
        return moment

    def redo(self, shell: Shell) -> Moment | None:
        """Revert the last ``undo``; returns the moment, or None where there is none."""
        self._forget_current()
        if not self.undone:
            return None
        moment = self.undone.pop()
        self.done.append(full_moment(shell, moment.line, moment.snapshot))
        if len(self.done) > DEPTH and self.done[0] not in self._open:
            del self.done[0]
        moment.restore(shell)
        return moment

    def _forget_current(self) -> None:
        """``undo`` and ``redo`` are not steps themselves."""
        if self.done and self.done[-1] is self.current:
            self.done.pop()


def full_moment(shell: Shell, line: str, before: MachineSnapshot | None = None) -> Moment:
    """The shell as it is now, its machine's state included; ``before`` is one to share with."""
    moment = Moment(shell, line)
    moment.take_machine(before)
    return moment


def _same(one: object, other: object) -> bool:
    """Whether two kept states say the same; objects that know no equality are compared field by field."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        assert isinstance(other, dict)
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        assert isinstance(other, (list, tuple))
        return len(one) == len(other) and all(map(_same, one, other))
    if type(one).__eq__ is not object.__eq__:
        return one == other
    return hasattr(one, "__dict__") and _same(vars(one), vars(other))


def _copied(value: object) -> object:
    make = getattr(value, "copy", None)
    return make() if callable(make) else value


def _machine(machine: object) -> Machine | None:
    if machine is None:
        return None
    from tdvfsh.machine import Machine

    return machine if isinstance(machine, Machine) else None
