"""Events, their notifications, task priorities and timers.

Notifications of the firmware's own are Python functions and called at once. Those of programs are addresses of code:
they are queued and called, above the current task priority, by the code that runs programs.

Source: UEFI 2.10 7.1; edk2 MdeModulePkg/Core/Dxe/Event/{Event,Timer,Tpl}.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

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

TIMER_CANCEL: Final = 0
TIMER_PERIODIC: Final = 1
TIMER_RELATIVE: Final = 2

Notify = Callable[[], None]
_FIRST_EVENT: Final = 1
_TICK_NS: Final = 10_000_000  # of the timer: a trigger time of 0 means the next one, and no period is shorter
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class GuestNotify(NamedTuple):
    """A program's EFI_EVENT_NOTIFY: the address of its code, and what it is called with beside the event."""

    function: int
    context: int


@dataclass(slots=True)
class Event:
    """An event.

    Attributes:
        kind: Type, as CreateEvent has it; 0 for one of the firmware's own.
        notify_tpl: Task priority of the notification.
        notify: The notification: a function, or a program's; None for none.
        group: Event group.
        ready: For an event of the firmware's own that programs wait for: whether it is ready.
        signaled: Whether it is signaled.
        due_ns: Virtual time of the timer; None where it is not set.
        period_ns: Time until the timer fires again, 0 for never.
    """

    kind: int = 0
    notify_tpl: int = 0
    notify: Notify | GuestNotify | None = None
    group: Guid | None = None
    ready: Callable[[], bool] | None = None
    signaled: bool = False
    due_ns: int | None = None
    period_ns: int = 0


class EventServices:
    """Events, the queue of notifications, the current task priority, and the watchdog timer.

    Attributes:
        tpl: The current task priority.
        watchdog: Virtual time at which the watchdog ends the run, and the seconds that it was set to; None for never.
        call: Calls a program's notification with code address, event and context; None where no program can run. What
            is queued then waits.
    """

    __slots__ = ("_events", "_next", "_queue", "_vacant", "call", "tpl", "watchdog")

    def __init__(self) -> None:
        self._events: dict[int, Event] = {}
        self._next = _FIRST_EVENT
        self._queue: list[int] = []
        self._vacant: list[int] = []
        self.tpl = TPL_APPLICATION
        self.watchdog: tuple[int, int] | None = None
        self.call: Callable[[int, int, int], object] | None = None

    def copy(self) -> EventServices:
        """A copy whose notifications are the same functions."""
        twin = EventServices()
        twin._events = {number: replace(event) for number, event in self._events.items()}
        twin._next = self._next
        twin._queue = self._queue.copy()
        twin.tpl, twin.watchdog, twin.call = self.tpl, self.watchdog, self.call
        return twin

    def create_event(
        self,
        notify: Notify | GuestNotify | None = None,
        group: Guid | None = None,
        *,
        kind: int = 0,
        notify_tpl: int = 0,
        ready: Callable[[], bool] | None = None,
    ) -> int:
        """CreateEventEx: an event of ``group`` (or of none); returns its number. Arguments as of :class:`Event`."""
        number = self._vacant.pop(0) if self._vacant else self._next
        self._next = max(self._next, number + 1)
        self._events[number] = Event(kind, notify_tpl, notify, group, ready)
        return number

    def create_ready_event(self, ready: Callable[[], bool]) -> int:
        """An event of the firmware's own that is signaled whenever ``ready`` says so; returns its number."""
        return self.create_event(kind=EVT_NOTIFY_WAIT, notify_tpl=TPL_NOTIFY, ready=ready)

    @contextmanager
    def replacing_ready_events(self) -> Iterator[None]:
        """Remove the events of :meth:`create_ready_event`; those made meanwhile take their numbers, in order."""
        following = self._next
        self._vacant = [number for number, event in self._events.items() if event.ready is not None]
        for number in self._vacant:
            self.close_event(number)
        try:
            yield
        finally:
            self._vacant = []
            self._next = max(self._next, following)
            self._events = dict(sorted(self._events.items()))

    def get(self, number: int) -> Event | None:
        """An event by its number; None where there is none."""
        return self._events.get(number)

    def items(self) -> list[tuple[int, Event]]:
        """All events by number."""
        return list(self._events.items())

    @property
    def queued(self) -> tuple[int, ...]:
        """Events whose notification is queued, in order."""
        return tuple(self._queue)

    def close_event(self, number: int) -> EfiStatus:
        """CloseEvent; EFI_INVALID_PARAMETER for an event that does not exist."""
        if self._events.pop(number, None) is None:
            return _INVALID
        self._queue = [queued for queued in self._queue if queued != number]
        return SUCCESS

    def signal_event(self, number: int) -> EfiStatus:
        """SignalEvent: the event, or its whole group; EFI_INVALID_PARAMETER for one that does not exist."""
        known = self._events.get(number)
        if known is None:
            return _INVALID
        if known.group is not None:
            self.signal_group(known.group)
        else:
            self._signal(number, known)
        return SUCCESS

    def has_listeners(self, group: Guid) -> bool:
        """Whether an event of ``group`` exists."""
        wanted = group.number
        return any(event.group is not None and event.group.number == wanted for event in self._events.values())

    def signal_group(self, group: Guid) -> None:
        """Notify every event of ``group``, the youngest first, as edk2 does."""
        if not self._events:
            return
        wanted = group.number  # most events are of another group: their numbers compare in a quarter of the time
        listening = [(n, event) for n, event in self._events.items() if event.group and event.group.number == wanted]
        for number, event in reversed(listening):
            if self._events.get(number) is event:
                self._signal(number, event)

    def _signal(self, number: int, event: Event) -> None:
        if callable(event.notify):
            event.notify()
            return
        if event.signaled:
            return
        event.signaled = True
        if event.kind & EVT_NOTIFY_SIGNAL:
            self._enqueue(number)
        self.dispatch()

    def _enqueue(self, number: int) -> None:
        if number not in self._queue:
            self._queue.append(number)

    def dispatch(self) -> None:
        """Call what is queued above the current priority, the highest first."""
        while True:
            ready = [number for number in self._queue if self._events[number].notify_tpl > self.tpl]
            if not ready:
                return
            number = max(ready, key=lambda one: self._events[one].notify_tpl)
            event = self._events[number]
            if event.ready is None and self.call is None:
                return
            self._queue.remove(number)
            if event.kind & EVT_NOTIFY_SIGNAL:
                event.signaled = False
            before, self.tpl = self.tpl, event.notify_tpl
            try:
                if event.ready is not None:
                    event.signaled = event.ready()
                elif self.call is not None and isinstance(event.notify, GuestNotify):
                    self.call(event.notify.function, number, event.notify.context)
            finally:
                self.tpl = before

    def check_event(self, number: int) -> EfiStatus:
        """CheckEvent.

        Returns:
            EFI_INVALID_PARAMETER: No such event, or it is notified when it is signaled.
            EFI_NOT_READY: It is not signaled, after its notification was called where it has one.
        """
        event = self._events.get(number)
        if event is None or event.kind & EVT_NOTIFY_SIGNAL:
            return _INVALID
        if not event.signaled and event.kind & EVT_NOTIFY_WAIT:
            self._enqueue(number)
            self.dispatch()
        if event.signaled:
            event.signaled = False
            return SUCCESS
        return EfiStatus.EFI_NOT_READY

    def set_timer(self, number: int, timer_type: int, trigger_ns: int, now_ns: int) -> EfiStatus:
        """SetTimer; a trigger time of 0 is the timer's next tick.

        Returns:
            EFI_INVALID_PARAMETER: No such event, it has no timer, or no such type.
        """
        event = self._events.get(number)
        if event is None or not event.kind & EVT_TIMER or timer_type > TIMER_RELATIVE:
            return _INVALID
        delay = trigger_ns or _TICK_NS
        event.due_ns = None if timer_type == TIMER_CANCEL else now_ns + delay
        event.period_ns = max(delay, _TICK_NS) if timer_type == TIMER_PERIODIC else 0
        return SUCCESS

    def next_due(self) -> int | None:
        """When the next timer fires, in virtual nanoseconds, without the watchdog."""
        return min((event.due_ns for event in self._events.values() if event.due_ns is not None), default=None)

    def fire(self, due_ns: int) -> None:
        """Signal the events whose timer is due then, and call what that queues."""
        for number, event in [one for one in self._events.items() if one[1].due_ns == due_ns]:
            event.due_ns = due_ns + event.period_ns if event.period_ns else None
            self.signal_event(number)
        self.dispatch()

    def raise_tpl(self, new_tpl: int) -> int:
        """RaiseTPL; returns the old priority."""
        before = self.tpl
        self.tpl = max(before, min(new_tpl, TPL_HIGH_LEVEL))
        return before

    def restore_tpl(self, old_tpl: int) -> None:
        """RestoreTPL: what was queued meanwhile is called now."""
        self.tpl = old_tpl
        self.dispatch()
