"""How a run of guest code ends otherwise than by returning."""

from __future__ import annotations

from tdvfsh.errors import TdvfshError
from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdvfsh.engine.violation import Violation
    from tdvfsh.uefi.status import EfiStatus


class EngineError(TdvfshError):
    """A run that cannot continue; ``str()`` is one line that says why."""


class GuestStopped(EngineError):
    """Stop of a guest at memory that it cannot access, or at an exception without a handler.

    Args:
        violation: What happened, with all that is known about the place.
    """

    def __init__(self, violation: Violation) -> None:
        self.violation = violation
        super().__init__(violation.summary)


class GuestIdle(EngineError):
    """The guest waits for something that will not come: input has ended and no timer is set."""


class GuestReset(EngineError):
    """Call of ResetSystem by the guest.

    Args:
        kind: ``cold``, ``warm``, ``shutdown`` or ``platform``.
        status: The reason that it passed.
    """

    def __init__(self, kind: str, status: EfiStatus | int) -> None:
        self.kind = kind
        self.status = status
        super().__init__(f"the program asked for a {kind} reset")


class WatchdogExpired(EngineError):
    """The watchdog timer that the guest had set ran out: firmware would reset the machine.

    Args:
        seconds: What the guest had set it to.
    """

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"the watchdog timer of {seconds} s ran out")


class GuestFatal(EngineError):
    """Report of a fatal error to the VMM by the guest (TDG.VP.VMCALL<ReportFatalError>).

    Args:
        code: Its error code.
        message: What it said, if anything.
    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"the guest reported a fatal error, {code:#x}" + (f": {message}" if message else ""))


class GuestDead(EngineError):
    """The vCPU can never run again: it waits with interrupts off, or an exception has no handler."""


class InaccessibleMemory(Exception):
    """A service was given a pointer to ``size`` bytes at ``address`` that are not all accepted RAM."""

    def __init__(self, address: int, size: int, write: bool) -> None:
        self.address = address
        self.size = size
        self.write = write
        super().__init__(f"{address:#x}")


class ReachedOperatingSystem(Exception):
    """Signal that the kernel runs; unwinds to the start of the outermost image."""
