"""Events, task priorities and timers of the DXE core, for guest code.

Source: UEFI 2.10 7.1; edk2 MdeModulePkg/Core/Dxe/Event/{Event,Timer,Tpl}.c.
"""

from __future__ import annotations

from tdvfsh.dxe.events import (
    EVT_NOTIFY_SIGNAL,
    EVT_NOTIFY_WAIT,
    EVT_SIGNAL_EXIT_BOOT_SERVICES,
    EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE,
    EVT_TIMER,
    TPL_APPLICATION,
    TPL_HIGH_LEVEL,
    GuestNotify,
)
from tdvfsh.dxe.events import EventServices as CoreEvents
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.services.waiting import Waiting
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names
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
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class EventServices:
    """CreateEvent to CheckEvent, SetTimer, RaiseTPL and RestoreTPL.

    Args:
        context: Guest memory.
        waiting: How time passes while nothing is signaled.
    """

    def __init__(self, context: GuestContext, waiting: Waiting) -> None:
        self._context = context
        self._ram = context.ram
        self._waiting = waiting

    @property
    def _events(self) -> CoreEvents:
        """The present ones: going back to a snapshot replaces them."""
        return self._context.core.events

    @service(service_names.CREATE_EVENT, "dqqqq")
    def create_event(
        self, event_type: int, notify_tpl: int, notify_function: int, notify_context: int, event: int
    ) -> EfiStatus:
        """EFI_CREATE_EVENT."""
        return self._create(event_type, notify_tpl, notify_function, notify_context, _GROUPS.get(event_type), event)

    @service(service_names.CREATE_EVENT_EX, "dqqqgq")
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
        notify = GuestNotify(function, context) if notifies else None
        made = self._events.create_event(notify, group, kind=kind, notify_tpl=tpl if notifies else 0)
        self._ram.put_u64(event, made)
        return SUCCESS

    @service(service_names.CLOSE_EVENT, "q")
    def close_event(self, event: int) -> EfiStatus:
        """EFI_CLOSE_EVENT."""
        status = self._events.close_event(event)
        if status is SUCCESS:
            self._context.services.handles.notifies.event_closed(event)
        return status

    @service(service_names.SIGNAL_EVENT, "q")
    def signal_event(self, event: int) -> EfiStatus:
        """EFI_SIGNAL_EVENT."""
        return self._events.signal_event(event)

    @service(service_names.CHECK_EVENT, "q")
    def check_event(self, event: int) -> EfiStatus:
        """EFI_CHECK_EVENT; asking in vain takes a moment."""
        status = self._events.check_event(event)
        if status is EfiStatus.EFI_NOT_READY:
            self._waiting.polled()
        return status

    @service(service_names.WAIT_FOR_EVENT, "qqq")
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
                status = self._events.check_event(number)
                if status is not EfiStatus.EFI_NOT_READY:
                    self._ram.put_u64(index, position)
                    return status
            self._waiting.blocked()

    @service(service_names.SET_TIMER, "qdq")
    def set_timer(self, event: int, timer_type: int, trigger_time: int) -> EfiStatus:
        """EFI_SET_TIMER; ``trigger_time`` counts 100 ns."""
        return self._events.set_timer(event, timer_type, trigger_time * 100, self._context.clock.now_ns)

    @service(service_names.RAISE_TPL, "q")
    def raise_tpl(self, new_tpl: int) -> int:
        """EFI_RAISE_TPL: returns the old priority."""
        return self._events.raise_tpl(new_tpl)

    @service(service_names.RESTORE_TPL, "q")
    def restore_tpl(self, old_tpl: int) -> None:
        """EFI_RESTORE_TPL: what was queued meanwhile is called now."""
        self._events.restore_tpl(old_tpl)
