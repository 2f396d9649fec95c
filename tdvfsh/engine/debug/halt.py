"""Why the machine has halted, and how it is to continue."""

from __future__ import annotations

from enum import Enum

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import NamedTuple, Protocol


class Cause(Enum):
    """Cause of a halt."""

    START = "before the first instruction"
    STEP = "one instruction is over"
    BREAKPOINT = "breakpoint"
    WATCHPOINT = "watchpoint"
    INTERRUPT = "interrupted"
    EVENT = "event"
    END = "the run is over"
    REPLAY_BEGINS = "nothing before this is recorded"


class Access(Enum):
    """What a watchpoint waits for; the values are gdb's names of the stop."""

    WRITE = "watch"
    READ = "rwatch"
    EITHER = "awatch"


@dataclass(frozen=True, slots=True)
class Watch:
    """A watchpoint.

    Attributes:
        address: Linear address, or a physical one.
        size: Bytes.
        access: What it waits for.
        physical: Whether the address is physical.
        linear: Of a physical one, the linear address by which it is reported.
    """

    address: int
    size: int
    access: Access
    physical: bool = False
    linear: int | None = None

    def overlaps(self, address: int, size: int) -> bool:
        """Whether bytes of the same kind of address are among what is watched."""
        return address < self.address + self.size and self.address < address + size


class Halt(NamedTuple):
    """One halt.

    Attributes:
        cause: Its cause.
        vcpu: The vCPU that it concerns.
        access: What a watchpoint saw.
        address: Linear address that was watched.
        text: What happened, for a person.
    """

    cause: Cause
    vcpu: int
    access: Access | None = None
    address: int = 0
    text: str = ""


class Until(NamedTuple):
    """A place further on in a run that is the same each time, counted from where it continues.

    Attributes:
        blocks: Before the block of code with this number; None where the place is another one.
        address: Before the instruction at this address; None where the place is another one.
        watch: Before the instruction that accesses this; None where the place is another one.
        number: Which arrival at the address, or which access, from 1.
    """

    blocks: int | None = None
    address: int | None = None
    watch: Watch | None = None
    number: int = 1


class Resume(NamedTuple):
    """How to continue: until something halts the machine, or by one instruction of the vCPU ``step``, or to a place."""

    step: int | None = None
    until: Until | None = None


class Front(Protocol):
    """Who the machine halts for: a gdb, a prompt, a log."""

    def halted(self, halt: Halt) -> Resume:
        """The machine stands still until this returns."""
        ...

    def interrupts(self) -> bool:
        """Asked where the run was interrupted from outside: whether to halt."""
        ...
