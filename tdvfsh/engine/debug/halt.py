"""Why the machine has halted, and how it is to continue."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol


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


class Resume(NamedTuple):
    """How to continue: until something halts the machine, or by one instruction of the vCPU ``step``."""

    step: int | None = None


class Front(Protocol):
    """Who the machine halts for: a gdb, a prompt, a log."""

    def halted(self, halt: Halt) -> Resume:
        """The machine stands still until this returns."""
        ...

    def interrupts(self) -> bool:
        """Asked where the run was interrupted from outside: whether to halt."""
        ...
