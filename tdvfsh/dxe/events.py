"""Events, as far as memory and image services signal them: groups and their notifications.

Source: UEFI 2.10 7.1; edk2 MdeModulePkg/Core/Dxe/Event/Event.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

Notify = Callable[[], None]
_FIRST_EVENT: Final = 1


class _Event(NamedTuple):
    group: Guid | None
    notify: Notify | None


class EventServices:
    """Events and the groups they belong to."""

    def __init__(self) -> None:
        self._events: dict[int, _Event] = {}
        self._next = _FIRST_EVENT

    def copy(self) -> EventServices:
        """A copy whose notifications are the same functions."""
        twin = EventServices()
        twin._events = self._events.copy()
        twin._next = self._next
        return twin

    def create_event(self, notify: Notify | None = None, group: Guid | None = None) -> int:
        """CreateEventEx: an event of ``group`` (or of none) whose signal calls ``notify``."""
        event = self._next
        self._next += 1
        self._events[event] = _Event(group, notify)
        return event

    def close_event(self, event: int) -> EfiStatus:
        """CloseEvent; EFI_INVALID_PARAMETER for an event that does not exist."""
        return SUCCESS if self._events.pop(event, None) is not None else EfiStatus.EFI_INVALID_PARAMETER

    def signal_event(self, event: int) -> EfiStatus:
        """SignalEvent: the event, or its whole group; EFI_INVALID_PARAMETER for one that does not exist."""
        known = self._events.get(event)
        if known is None:
            return EfiStatus.EFI_INVALID_PARAMETER
        if known.group is not None:
            self.signal_group(known.group)
        elif known.notify is not None:
            known.notify()
        return SUCCESS

    def signal_group(self, group: Guid) -> None:
        """Notify every event of ``group``, the youngest first, as edk2 does."""
        if not self._events:
            return
        for event in [event for event in reversed(self._events.values()) if event.group == group]:
            if event.notify is not None:
                event.notify()
