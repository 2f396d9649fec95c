"""Events, task priorities and timers: the DXE core's events with the guest's notification functions behind them.

Source: UEFI 2.10 7.1; edk2 MdeModulePkg/Core/Dxe/Event/{Event,Timer,Tpl}.c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.errors import GuestIdle, WatchdogExpired
from tdvfsh.uefi.guids import (
    EFI_EVENT_GROUP_EXIT_BOOT_SERVICES,
    EFI_EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE,
    Guid,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

if TYPE_CHECKING:
    from tdvfsh.engine.runs.guest import GuestFirmware

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

_TYPES: Final = frozenset(
    (
        0, EVT_NOTIFY_WAIT, EVT_NOTIFY_SIGNAL, EVT_TIMER, EVT_TIMER | EVT_NOTIFY_WAIT, EVT_TIMER | EVT_NOTIFY_SIGNAL,
        EVT_SIGNAL_EXIT_BOOT_SERVICES, EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE,
    )
)  # fmt: skip
_GROUPS: Final = {
    EVT_SIGNAL_EXIT_BOOT_SERVICES: EFI_EVENT_GROUP_EXIT_BOOT_SERVICES,
    EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE: EFI_EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE,
}
_END_OF_TIME_NS: Final = (1 << 63) - 1
_SECOND_NS: Final = 1_000_000_000
_TICK_NS: Final = 10_000_000  # of the timer: a trigger time of 0 means the next one, and no period is shorter
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


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


class EventServices:
    """CreateEvent to CheckEvent, RaiseTPL and RestoreTPL."""

    def __init__(self, firmware: GuestFirmware) -> None:
        self._firmware = firmware
        self._ram = firmware.ram
        self._events: dict[int, GuestEvent] = {}
        self._queue: list[GuestEvent] = []
        self._watchdog: tuple[int, int] | None = None
        self.tpl = TPL_APPLICATION

    # ---- for the engine -----------------------------------------------------------------------------------------

    def create_ready_event(self, probe: Callable[[], bool]) -> int:
        """An event of the firmware's own that is signaled whenever ``probe`` says so."""
        return self._add(GuestEvent(0, EVT_NOTIFY_WAIT, TPL_NOTIFY, probe=probe))

    def next_due(self) -> int | None:
        """When the next timer fires, in virtual nanoseconds; the watchdog is none."""
        return min((event.due_ns for event in self._events.values() if event.due_ns is not None), default=None)

    def set_watchdog(self, seconds: int) -> None:
        """End the run after so many virtual seconds from now; 0: never."""
        now = self._firmware.clock.now_ns
        self._watchdog = (now + seconds * _SECOND_NS, seconds) if seconds else None

    def advance(self, ns: int) -> None:
        """Let time pass; timers that fire in it are signaled at their time."""
        clock = self._firmware.clock
        target = clock.now_ns + ns
        while True:
            due = self.next_due()
            if due is None or due > target:
                break
            self._pass(due - clock.now_ns)
            self._firmware.check_limit()
            for event in [event for event in self._events.values() if event.due_ns == due]:
                event.due_ns = due + event.period_ns if event.period_ns else None
                self._firmware.core.events.signal_event(event.number)
            self.dispatch()
        self._pass(target - clock.now_ns)

    def _pass(self, ns: int) -> None:
        clock = self._firmware.clock
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
                    self._firmware.call(event.function, event.number, event.context)
            finally:
                self.tpl = before

    # ---- services -----------------------------------------------------------------------------------------------

    @service("CreateEvent", "dqqqq")
    def create_event(
        self, event_type: int, notify_tpl: int, notify_function: int, notify_context: int, event: int
    ) -> EfiStatus:
        """EFI_CREATE_EVENT."""
        return self._create(event_type, notify_tpl, notify_function, notify_context, _GROUPS.get(event_type), event)

    @service("CreateEventEx", "dqqqgq")
    def create_event_ex(
        self, event_type: int, notify_tpl: int, notify_function: int, notify_context: int, event_group: int, event: int
    ) -> EfiStatus:
        """EFI_CREATE_EVENT_EX."""
        if event_group and event_type in _GROUPS:
            return _INVALID
        group = self._ram.guid(event_group) if event_group else _GROUPS.get(event_type)
        return self._create(event_type, notify_tpl, notify_function, notify_context, group, event)

    def _create(self, kind: int, tpl: int, function: int, context: int, group: Guid | None, event: int) -> EfiStatus:
        if not event or kind not in _TYPES:
            return _INVALID
        notifies = bool(kind & (EVT_NOTIFY_WAIT | EVT_NOTIFY_SIGNAL))
        if notifies and (not function or not TPL_APPLICATION < tpl < TPL_HIGH_LEVEL):
            return _INVALID
        if not notifies:
            tpl = function = context = 0
        self._ram.put_u64(event, self._add(GuestEvent(0, kind, tpl, function, context, group)))
        return SUCCESS

    def _add(self, event: GuestEvent) -> int:
        event.number = self._firmware.services.create_event(lambda: self._signaled(event), event.group)
        self._events[event.number] = event
        return event.number

    def _signaled(self, event: GuestEvent) -> None:
        """The core signals: remember it, and queue the notification."""
        if event.signaled:
            return
        event.signaled = True
        if event.kind & EVT_NOTIFY_SIGNAL:
            self._enqueue(event)
        self.dispatch()

    def _enqueue(self, event: GuestEvent) -> None:
        if not event.queued:
            event.queued = True
            self._queue.append(event)

    @service("CloseEvent", "q")
    def close_event(self, event: int) -> EfiStatus:
        """EFI_CLOSE_EVENT."""
        known = self._events.pop(event, None)
        if known is None:
            return _INVALID
        if known.queued:
            self._queue.remove(known)
        self._firmware.protocols.event_closed(event)
        return self._firmware.core.events.close_event(event)

    @service("SignalEvent", "q")
    def signal_event(self, event: int) -> EfiStatus:
        """EFI_SIGNAL_EVENT."""
        return self._firmware.core.events.signal_event(event)

    @service("CheckEvent", "q")
    def check_event(self, event: int) -> EfiStatus:
        """EFI_CHECK_EVENT; asking in vain takes a moment."""
        status = self._check(event)
        if status is EfiStatus.EFI_NOT_READY:
            self._firmware.waiting.polled()
        return status

    def _check(self, number: int) -> EfiStatus:
        event = self._events.get(number)
        if event is None or event.kind & EVT_NOTIFY_SIGNAL:
            return _INVALID
        if not event.signaled and event.kind & EVT_NOTIFY_WAIT:
            self._enqueue(event)
            self.dispatch()
        if event.signaled:
            event.signaled = False
            return SUCCESS
        return EfiStatus.EFI_NOT_READY

    @service("WaitForEvent", "qqq")
    def wait_for_event(self, number_of_events: int, event: int, index: int) -> EfiStatus:
        """EFI_WAIT_FOR_EVENT: time passes until one is signaled."""
        if not number_of_events or not event or not index:
            return _INVALID
        if self.tpl != TPL_APPLICATION:
            return EfiStatus.EFI_UNSUPPORTED
        self._ram.check(event, 8 * number_of_events)
        events = [self._ram.u64(event + 8 * position) for position in range(number_of_events)]
        while True:
            for position, number in enumerate(events):
                status = self._check(number)
                if status is not EfiStatus.EFI_NOT_READY:
                    self._ram.put_u64(index, position)
                    return status
            self._firmware.waiting.blocked()

    @service("SetTimer", "qdq")
    def set_timer(self, event: int, timer_type: int, trigger_time: int) -> EfiStatus:
        """EFI_SET_TIMER; ``trigger_time`` counts 100 ns."""
        known = self._events.get(event)
        if known is None or not known.kind & EVT_TIMER or timer_type > 2:
            return _INVALID
        known.period_ns = 0
        if timer_type == 0:
            known.due_ns = None
            return SUCCESS
        delay = trigger_time * 100 or _TICK_NS
        known.due_ns = self._firmware.clock.now_ns + delay
        if timer_type == 1:
            known.period_ns = max(delay, _TICK_NS)
        return SUCCESS

    @service("RaiseTPL", "q")
    def raise_tpl(self, new_tpl: int) -> int:
        """EFI_RAISE_TPL: gives the old priority."""
        before, self.tpl = self.tpl, max(self.tpl, min(new_tpl, TPL_HIGH_LEVEL))
        return before

    @service("RestoreTPL", "q")
    def restore_tpl(self, old_tpl: int) -> None:
        """EFI_RESTORE_TPL: what was queued meanwhile is called now."""
        self.tpl = old_tpl
        self.dispatch()
