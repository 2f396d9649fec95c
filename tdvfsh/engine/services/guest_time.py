"""How virtual time passes over the DXE core's timers and its watchdog while programs run."""

from __future__ import annotations

from tdvfsh.dxe.events import EventServices
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.errors import GuestIdle, WatchdogExpired
from tdvfsh.lazy_typing import Final

_END_OF_TIME_NS: Final = (1 << 63) - 1
_SECOND_NS: Final = 1_000_000_000


class GuestTime:
    """Virtual time of a machine with programs.

    Args:
        context: The clock, and the core whose timers fire.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context

    @property
    def _events(self) -> EventServices:
        """The present ones: going back to a snapshot replaces them."""
        return self._context.core.events

    def set_watchdog(self, seconds: int) -> None:
        """End the run after that many virtual seconds from now; 0: never."""
        now = self._context.clock.now_ns
        self._events.watchdog = (now + seconds * _SECOND_NS, seconds) if seconds else None

    def next_due(self) -> int | None:
        """When the next timer fires, in virtual nanoseconds, without the watchdog."""
        return self._events.next_due()

    def advance(self, ns: int) -> None:
        """Let time pass; timers that fire in it are signaled at their time."""
        clock = self._context.clock
        target = clock.now_ns + ns
        while True:
            due = self._events.next_due()
            if due is None or due > target:
                break
            self._pass(due - clock.now_ns)
            self._context.check_limit()
            self._events.fire(due)
        self._pass(target - clock.now_ns)

    def _pass(self, ns: int) -> None:
        clock = self._context.clock
        if clock.now_ns + ns > _END_OF_TIME_NS:
            raise GuestIdle("the program waits for centuries")
        clock.advance(max(0, ns))
        watchdog = self._events.watchdog
        if watchdog is not None and watchdog[0] <= clock.now_ns:
            raise WatchdogExpired(watchdog[1])
