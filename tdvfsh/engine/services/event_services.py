"""Events, task priorities and timers: the DXE core's events with the guest's notification functions behind them.

Source: UEFI 2.10 7.1; edk2 MdeModulePkg/Core/Dxe/Event/{Event,Timer,Tpl}.c.
"""

from __future__ import annotations

from typing import Final

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.services.guest_events import (
    EVT_NOTIFY_SIGNAL,
    EVT_NOTIFY_WAIT,
    EVT_SIGNAL_EXIT_BOOT_SERVICES,
    EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE,
    EVT_TIMER,
    TPL_APPLICATION,
    TPL_HIGH_LEVEL,
    GuestEvent,
    GuestEvents,
)
from tdvfsh.engine.services.protocol_services import ProtocolServices
from tdvfsh.engine.services.waiting import Waiting
from tdvfsh.uefi.guids import (
    EFI_EVENT_GROUP_EXIT_BOOT_SERVICES,
    EFI_EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE,
    Guid,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

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
_TICK_NS: Final = 10_000_000  # of the timer: a trigger time of 0 means the next one, and no period is shorter
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class EventServices:
    """CreateEvent to CheckEvent, SetTimer, RaiseTPL and RestoreTPL.

    Args:
        context: Guest memory.
        events: The events.
        waiting: How time passes while nothing is signaled.
        protocols: Loses the registrations of an event that is closed.
    """

    def __init__(
        self, context: GuestContext, events: GuestEvents, waiting: Waiting, protocols: ProtocolServices
    ) -> None:
        self._context = context
        self._ram = context.ram
        self._events = events
        self._waiting = waiting
        self._protocols = protocols

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
        self._ram.put_u64(
            event,
            self._events.add(GuestEvent(number=0, kind=kind, tpl=tpl, function=function, context=context, group=group)),
        )
        return SUCCESS

    @service("CloseEvent", "q")
    def close_event(self, event: int) -> EfiStatus:
        """EFI_CLOSE_EVENT."""
        if self._events.remove(event) is None:
            return _INVALID
        self._protocols.event_closed(event)
        return self._context.core.events.close_event(event)

    @service("SignalEvent", "q")
    def signal_event(self, event: int) -> EfiStatus:
        """EFI_SIGNAL_EVENT."""
        return self._context.core.events.signal_event(event)

    @service("CheckEvent", "q")
    def check_event(self, event: int) -> EfiStatus:
        """EFI_CHECK_EVENT; asking in vain takes a moment."""
        status = self._check(event)
        if status is EfiStatus.EFI_NOT_READY:
            self._waiting.polled()
        return status

    def _check(self, number: int) -> EfiStatus:
        event = self._events.get(number)
        if event is None or event.kind & EVT_NOTIFY_SIGNAL:
            return _INVALID
        if not event.signaled and event.kind & EVT_NOTIFY_WAIT:
            self._events.enqueue(event)
            self._events.dispatch()
        if event.signaled:
            event.signaled = False
            return SUCCESS
        return EfiStatus.EFI_NOT_READY

    @service("WaitForEvent", "qqq")
    def wait_for_event(self, number_of_events: int, event: int, index: int) -> EfiStatus:
        """EFI_WAIT_FOR_EVENT: time passes until one is signaled."""
        if not number_of_events or not event or not index:
            return _INVALID
        if self._events.tpl != TPL_APPLICATION:
            return EfiStatus.EFI_UNSUPPORTED
        self._ram.check(event, 8 * number_of_events)
        events = [self._ram.u64(event + 8 * position) for position in range(number_of_events)]
        while True:
            for position, number in enumerate(events):
                status = self._check(number)
                if status is not EfiStatus.EFI_NOT_READY:
                    self._ram.put_u64(index, position)
                    return status
            self._waiting.blocked()

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
        known.due_ns = self._context.clock.now_ns + delay
        if timer_type == 1:
            known.period_ns = max(delay, _TICK_NS)
        return SUCCESS

    @service("RaiseTPL", "q")
    def raise_tpl(self, new_tpl: int) -> int:
        """EFI_RAISE_TPL: gives the old priority."""
        before = self._events.tpl
        self._events.tpl = max(before, min(new_tpl, TPL_HIGH_LEVEL))
        return before

    @service("RestoreTPL", "q")
    def restore_tpl(self, old_tpl: int) -> None:
        """EFI_RESTORE_TPL: what was queued meanwhile is called now."""
        self._events.tpl = old_tpl
        self._events.dispatch()
