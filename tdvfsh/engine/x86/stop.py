"""Why a run of the processor stopped, and where."""

from __future__ import annotations

from enum import Enum

from tdvfsh.lazy_typing import NamedTuple


class StopKind(Enum):
    """Reason for which the processor stopped."""

    HALT = "hlt"
    LIMIT = "the timer"
    UNMAPPED = "an access to memory that is not there"
    EXCEPTION = "an exception"
    WATCHED = "watched code"
    INTERCEPT = "an instruction that exits"
    SYSCALL = "SYSCALL"
    TIME = "an interrupt is due"
    PORT = "IN or OUT"
    CALL = "a call that the host answers"
    SPIN = "a loop that waits without PAUSE"
    UNPACK = "a call that unpacks firmware"
    DEBUG = "the debugger"
    BLOCKS = "a number of blocks has run"


class Stop(NamedTuple):
    """Reason and place of a stop: ``address`` and ``size`` of an access, or ``number`` of an exception or intercept."""

    kind: StopKind
    address: int = 0
    size: int = 0
    access: str = ""
    number: int = 0
