"""A run that is repeated from its start to come to an earlier moment: what it is answered with, and where it halts.

Backwards to a breakpoint takes two runs: the first one counts arrivals at breakpoints as far as the present, the second
one ends at the last of them. Backwards by an instruction takes one: up to some blocks of code before the present, and
from there by single steps until the registers are those of the present, of which the last one is taken back. Where that
step left the processor it cannot be, and one more run makes one step less.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from enum import Enum

from tdvfsh.engine.debug.arrivals import Moment
from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.halt import Until, Watch
from tdvfsh.engine.debug.history import Entry, History, Stops
from tdvfsh.lazy_typing import Final, NamedTuple

_BLOCKS_BEFORE: Final = 200
_MOST_STEPS: Final = 20_000
_SECONDS_BETWEEN_REPORTS: Final = 5.0


class Rewound(Exception):
    """The run is to begin again from its start; nothing that it made so far counts."""


class Aim(Enum):
    """What a run is repeated for."""

    COUNT = "count arrivals at breakpoints"
    STEP = "step to the present, and take the last step back"
    HALT = "halt at the end of what is known"


class Present(NamedTuple):
    """The moment from which one goes back.

    Attributes:
        vcpu: The vCPU that had halted.
        pointer: Its instruction pointer.
        registers: All its registers.
        time_ns: Virtual time.
    """

    vcpu: int
    pointer: int
    registers: list[int]
    time_ns: int

    @classmethod
    def of(cls, debugger: Debugger, vcpu: int) -> Present:
        """The moment at which a machine has halted."""
        registers = debugger.target.read_all(vcpu)
        names = [register.name for register in debugger.target.registers]
        clock = debugger.target.board.clock
        return cls(vcpu, registers[names.index("rip")], registers, clock.now_ns)

    def is_now(self, debugger: Debugger) -> bool:
        """Whether a machine is there."""
        target = debugger.target
        return (
            target.current == self.vcpu
            and target.register(self.vcpu, "rip") == self.pointer
            and target.read_all(self.vcpu) == self.registers
        )


class Repetition:
    """A run that is repeated.

    Args:
        aim: What for.
        entries: What it is answered with.
        present: Where one goes back from.
        stops: What gdb wants to halt at, at the present.
        by_step: Whether by one instruction.

    Attributes:
        addresses: Breakpoints whose arrivals are counted.
        watches: Physical memory whose accesses are counted.
        found: Whether there was an earlier moment to halt at.
        steps: Steps that were made at its end.
        before: Number of the halt from which those steps lead to the present, or further on.
    """

    def __init__(
        self, aim: Aim, entries: Sequence[Entry], present: Present, stops: Stops, *, by_step: bool, found: bool = True
    ) -> None:
        self.aim = aim
        self.present = present
        self.stops = stops
        self.by_step = by_step
        self.found = found
        self.addresses: list[int] = []
        self.watches: list[Watch] = []
        self.steps = 0
        self.before = 0
        self._given = tuple(entries)
        self._left = deque(entries)
        self._reported = time.monotonic()

    @property
    def next(self) -> Entry | None:
        """What is asked next; None where all was asked."""
        return self._left.popleft() if self._left else None

    @property
    def is_at_its_end(self) -> bool:
        """Whether all was asked."""
        return not self._left

    def step(self) -> Entry:
        """One more step towards the present."""
        self.steps += 1
        return Entry(b"vCont;s:%x;c" % (self.present.vcpu + 1))

    @property
    def has_gone_astray(self) -> bool:
        """Whether so many steps have not led to the present that none will."""
        return self.steps > _MOST_STEPS

    def with_a_step_less(self) -> Repetition:
        """The same, ended one step before the present."""
        steps = (self.step() for _ in range(self.steps - 1))
        entries = (*self._given, *steps, Entry(stops=self.stops))
        return Repetition(Aim.HALT, entries, self.present, self.stops, by_step=self.by_step)

    def up_to(self, moment: Moment | None, history: History) -> Repetition:
        """The one that ends where arrivals were counted to; at the start where there were none."""
        entries = [*history.up_to(moment or Moment(0)), Entry(stops=self.stops)]
        found = moment is not None
        return Repetition(Aim.HALT, entries, self.present, self.stops, by_step=False, found=found)

    def progress(self, now_ns: int) -> str | None:
        """How far it has come, now and then."""
        now = time.monotonic()
        if now - self._reported < _SECONDS_BETWEEN_REPORTS:
            return None
        self._reported = now
        return f"repeated {now_ns / 1e6:.0f} of {self.present.time_ns / 1e6:.0f} ms of virtual time; Ctrl-C halts there"


def by_step(history: History, present: Present, stops: Stops, halt: int | None = None) -> Repetition:
    """The run that goes back by one instruction, from the last halt or from an earlier one that is the same moment."""
    halt = history.halts - 1 if halt is None else halt
    if not halt:
        return Repetition(Aim.HALT, history.up_to(Moment(0)), present, stops, by_step=True, found=False)
    blocks = history.blocks_before(halt)
    until = Until(blocks=blocks - _BLOCKS_BEFORE) if blocks > 2 * _BLOCKS_BEFORE else None
    repetition = Repetition(Aim.STEP, history.up_to(Moment(halt - 1, until)), present, stops, by_step=True)
    repetition.before = halt - 1
    return repetition


def to_breakpoint(history: History, present: Present, stops: Stops, debugger: Debugger) -> Repetition:
    """The run that counts arrivals at all breakpoints and accesses to all that is watched."""
    repetition = Repetition(Aim.COUNT, history.entries, present, stops, by_step=False)
    repetition.addresses = debugger.breakpoints.all
    repetition.watches = [piece for _, piece in debugger.watchpoints.pieces]
    return repetition
