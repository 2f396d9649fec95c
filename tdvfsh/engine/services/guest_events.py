"""Events of guest code: the DXE core's events with types, notifications, task priorities and timers behind them.

Source: UEFI 2.10 7.1; edk2 MdeModulePkg/Core/Dxe/Event/{Event,Timer,Tpl}.c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.errors import GuestIdle, WatchdogExpired
from tdvfsh.uefi.guids import Guid

EVT_TIMER: Final = 0x80000000
EVT_RUNTIME: Final = 0x40000000
EVT_NOTIFY_WAIT: Final = 0x100
EVT_NOTIFY_SIGNAL: Final = 0x200
EVT_SIGNAL_EXIT_BOOT_SERVICES: Final = 0x201
EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE: Final = 0x60000202

TPL_APPLICATION: Final = 4
TPL_CALLBACK: Final = 8
TPL_NOTIFY: Final = 16
TPL_HIGH_LEVEL: Final = 31

_END_OF_TIME_NS: Final = (1 << 63) - 1
_SECOND_NS: Final = 1_000_000_000


@dataclass(slots=True)
class GuestEvent:
    """What the engine knows of an event beyond the core's: its type, notification, signal and timer.

    ``probe`` stands for the notification of an event of the firmware's own: it says whether the event is ready.
    """

    number: int
    kind: int
    tpl: int = 0
    function: int = 0
    context: int = 0
    group: Guid | None = None
    probe: Callable[[], bool] | None = None
    signaled: bool = False
    queued: bool = False
    due_ns: int | None = None
    period_ns: int = 0


class GuestEvents:
    """Events, the queue of notifications, the current task priority, and the watchdog.

    Args:
        context: Guest memory, and the way into guest code.

    Attributes:
        tpl: The current task priority.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._events: dict[int, GuestEvent] = {}
        self._queue: list[GuestEvent] = []
        self._watchdog: tuple[int, int] | None = None
        self.tpl = TPL_APPLICATION

    def get(self, number: int) -> GuestEvent | None:
        """An event by its number; None where there is none."""
        return self._events.get(number)

    def remove(self, number: int) -> GuestEvent | None:
        """Forget an event and its queued notification; gives it, None where there is none."""
        known = self._events.pop(number, None)
        if known is not None and known.queued:
            self._queue.remove(known)
        return known

    def create_ready_event(self, probe: Callable[[], bool]) -> int:
        """An event of the firmware's own that is signaled whenever ``probe`` says so."""
        return self.add(GuestEvent(0, EVT_NOTIFY_WAIT, TPL_NOTIFY, probe=probe))

    def next_due(self) -> int | None:
        """When the next timer fires, in virtual nanoseconds; the watchdog is none."""
        return min((event.due_ns for event in self._events.values() if event.due_ns is not None), default=None)

    def set_watchdog(self, seconds: int) -> None:
        """End the run after so many virtual seconds from now; 0: never."""
        now = self._context.clock.now_ns
        self._watchdog = (now + seconds * _SECOND_NS, seconds) if seconds else None

    def advance(self, ns: int) -> None:
        """Let time pass; timers that fire in it are signaled at their time."""
        clock = self._context.clock
        target = clock.now_ns + ns
        while True:
            due = self.next_due()
            if due is None or due > target:
                break
            self._pass(due - clock.now_ns)
            self._context.check_limit()
            for event in [event for event in self._events.values() if event.due_ns == due]:
                event.due_ns = due + event.period_ns if event.period_ns else None
                self._context.core.events.signal_event(event.number)
            self.dispatch()
        self._pass(target - clock.now_ns)

    def _pass(self, ns: int) -> None:
        clock = self._context.clock
        if clock.now_ns + ns > _END_OF_TIME_NS:
            raise GuestIdle("the program waits for centuries")
        clock.advance(max(0, ns))
        if self._watchdog is not None and self._watchdog[0] <= clock.now_ns:
            raise WatchdogExpired(self._watchdog[1])

    def dispatch(self) -> None:
        """Call what is queued above the current priority, the highest first."""
        while True:
            ready = [event for event in self._queue if event.tpl > self.tpl]
            if not ready:
                return
            event = max(ready, key=lambda event: event.tpl)
            self._queue.remove(event)
            event.queued = False
            if event.kind & EVT_NOTIFY_SIGNAL:
                event.signaled = False
            before, self.tpl = self.tpl, event.tpl
            try:
                if event.probe is not None:
                    event.signaled = event.probe()
                else:
                    self._context.call(event.function, event.number, event.context)
            finally:
                self.tpl = before

    def add(self, event: GuestEvent) -> int:
        """Make an event of the core's behind ``event``; gives its number."""
        event.number = self._context.services.create_event(lambda: self._signaled(event), event.group)
        self._events[event.number] = event
        return event.number

    def _signaled(self, event: GuestEvent) -> None:
        """The core signals: remember it, and queue the notification."""
        if event.signaled:
            return
        event.signaled = True
        if event.kind & EVT_NOTIFY_SIGNAL:
            self.enqueue(event)
        self.dispatch()

    def enqueue(self, event: GuestEvent) -> None:
        """Queue the notification of an event, once."""
        if not event.queued:
            event.queued = True
            self._queue.append(event)
