"""Registrations for a protocol's new interfaces.

Source: UEFI 2.10 7.3.5 (RegisterProtocolNotify); edk2 MdeModulePkg/Core/Dxe/Hand/Notify.c.
"""

from __future__ import annotations

from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.uefi.guids import Guid


@dataclass(slots=True)
class ProtocolNotify:
    """One registration: its event, and the handles that were not located through it yet."""

    protocol: Guid
    event: int
    waiting: list[int] = field(default_factory=list)


class ProtocolNotifies:
    """All registrations, by the key that their owners have."""

    __slots__ = ("_next", "_registrations")

    def __init__(self) -> None:
        self._registrations: dict[int, ProtocolNotify] = {}
        self._next = 1

    def copy(self) -> ProtocolNotifies:
        """An independent copy."""
        twin = ProtocolNotifies()
        twin._next = self._next
        twin._registrations = {
            key: ProtocolNotify(one.protocol, one.event, one.waiting.copy()) for key, one in self._registrations.items()
        }
        return twin

    def items(self) -> list[tuple[int, ProtocolNotify]]:
        """All registrations by key."""
        return list(self._registrations.items())

    def add(self, key: int, notify: ProtocolNotify) -> None:
        """Put a registration back under its key."""
        self._registrations[key] = notify
        self._next = max(self._next, key + 1)

    def register(self, protocol: Guid, event: int) -> int:
        """RegisterProtocolNotify; returns the key."""
        key = self._next
        self.add(key, ProtocolNotify(protocol, event))
        return key

    def announce(self, handle: int, protocol: Guid) -> list[int]:
        """A handle has a new interface; returns the events to signal."""
        told = [one for one in self._registrations.values() if one.protocol == protocol]
        for one in told:
            one.waiting.append(handle)
        return [one.event for one in told]

    def forget(self, handle: int, protocol: Guid) -> None:
        """Forget a removed interface."""
        for one in self._registrations.values():
            if one.protocol == protocol:
                one.waiting = [waiting for waiting in one.waiting if waiting != handle]

    def event_closed(self, event: int) -> None:
        """Drop the registrations of a closed event."""
        self._registrations = {key: one for key, one in self._registrations.items() if one.event != event}

    def next_handle(self, key: int) -> list[int] | None:
        """The oldest handle that the owner has not located, as a list of one or none; None for no such key."""
        known = self._registrations.get(key)
        return None if known is None else known.waiting[:1]

    def take(self, key: int) -> int | None:
        """That handle, which is not asked for again; None where there is none."""
        known = self._registrations.get(key)
        return known.waiting.pop(0) if known is not None and known.waiting else None
