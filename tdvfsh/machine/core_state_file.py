"""What the firmware keeps beside memory and handles, as JSON values: part of ``core`` in a snapshot file.

==================  =================================================================================================
key                 value
==================  =================================================================================================
variables           ``[name, vendor, attributes, hex]``
variable_times      ``[vendor, name, hex]``: EFI_TIME of those that were set with authentication
real_time_clock     ``start_ns``, ``time_zone``, ``daylight``, ``wakeup`` (ISO 8601, or null), ``wakeup_enabled``,
                    ``wakeup_pending``
monotonic_count     what GetNextMonotonicCount returns next
system_table        null or an address
protection          ``[start, end, attributes]``: access attributes that were set on single ranges
events              ``next``: number of the next one; ``tpl``; ``watchdog``: null or ``[due, seconds]``; ``queue``:
                    numbers; ``ready``: numbers of those that come with the processor; ``events``: ``[number, type,
                    tpl, null or [function, context], group, signaled, due, period]`` of programs
opens               ``[handle, guid, [[agent, controller, attributes, count]...]]``: what is open of which handle
notifies            ``[key, guid, event, [handle...]]``: who is notified of new protocols
==================  =================================================================================================

Files of version 1 have none of these but the number of the next event under ``events``.
"""

from __future__ import annotations

from datetime import datetime

from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.events import EVT_NOTIFY_WAIT, Event, EventServices, GuestNotify
from tdvfsh.dxe.monotonic_count import MonotonicCounter
from tdvfsh.dxe.open_protocols import OpenProtocolInformation
from tdvfsh.dxe.protocol_notify import ProtocolNotify
from tdvfsh.dxe.time import RealTimeClock
from tdvfsh.dxe.variables import Variable, VariableStore
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.uefi.guids import Guid

Json = dict[str, Any]
_CLOCK_FIELDS: Final = ("start_ns", "time_zone", "daylight", "wakeup_enabled", "wakeup_pending")


def core_state_to_dict(core: DxeCore) -> Json:
    """Variables, clock, count, events, openings and registrations."""
    return {
        "variables": [[name, str(vendor), bits, data.hex()] for name, vendor, bits, data in core.variables],
        "variable_times": [[str(vendor), name, time.hex()] for (vendor, name), time in core.variables.times.items()],
        "real_time_clock": _clock(core.real_time_clock),
        "monotonic_count": core.monotonic_counter.count,
        "system_table": core.system_table,
        "protection": [list(span) for span in core.protection.ranges()],
        "events": _events(core.events),
        "opens": [
            [handle, str(guid), [list(entry) for entry in entries]]
            for handle, guid, entries in core.handles.opens.items()
        ],
        "notifies": [[key, str(one.protocol), one.event, one.waiting] for key, one in core.handles.notifies.items()],
    }


def read_core_state(core: DxeCore, data: Json) -> None:
    """Bring a core that has just started to that state; its handles are another's business."""
    if "variables" not in data:
        core.events._next = int(data["events"])
        return
    core.protection.freed(0, 1 << 64)
    for start, end, attributes in data.get("protection", ()):
        core.protection.set_range(start, end, attributes)
    core.variables = VariableStore(
        tuple(Variable(name, Guid(vendor), bits, bytes.fromhex(text)) for name, vendor, bits, text in data["variables"])
    )
    for vendor, name, time in data.get("variable_times", ()):
        core.variables.times[Guid(vendor), name] = bytes.fromhex(time)
    clock = data["real_time_clock"]
    wakeup = None if clock["wakeup"] is None else datetime.fromisoformat(clock["wakeup"])
    core.real_time_clock = RealTimeClock(**{name: clock[name] for name in _CLOCK_FIELDS}, wakeup=wakeup)
    core.monotonic_counter = MonotonicCounter(int(data["monotonic_count"]))
    core.system_table = data["system_table"]
    _read_events(core.events, data["events"])
    for handle, text, entries in data["opens"]:
        core.handles.opens._entries[handle, Guid(text)] = [OpenProtocolInformation(*entry) for entry in entries]
    for key, text, event, waiting in data["notifies"]:
        core.handles.notifies.add(key, ProtocolNotify(Guid(text), event, list(waiting)))


def _clock(clock: RealTimeClock) -> Json:
    fields = {name: getattr(clock, name) for name in _CLOCK_FIELDS}
    return {**fields, "wakeup": None if clock.wakeup is None else clock.wakeup.isoformat()}


def _events(events: EventServices) -> Json:
    return {
        "next": events._next,
        "tpl": events.tpl,
        "watchdog": events.watchdog,
        "queue": list(events.queued),
        "ready": [number for number, event in events.items() if event.ready is not None],
        "events": [
            [
                number, event.kind, event.notify_tpl, event.notify, event.group and str(event.group), event.signaled,
                event.due_ns, event.period_ns,
            ]
            for number, event in events.items()
            if event.ready is None and not callable(event.notify)
        ],
    }  # fmt: skip


def _read_events(events: EventServices, data: Json) -> None:
    for number in data["ready"]:  # a place for that of another processor
        events._events[number] = Event(EVT_NOTIFY_WAIT, ready=_never)
    for number, kind, tpl, notify, group, signaled, due, period in data["events"]:
        events._events[number] = Event(
            kind=kind,
            notify_tpl=tpl,
            notify=notify and GuestNotify(*notify),
            group=group and Guid(group),
            signaled=signaled,
            due_ns=due,
            period_ns=period,
        )
    events._events = dict(sorted(events._events.items()))
    events._next = int(data["next"])
    events._queue = [number for number in data["queue"] if number in events._events]
    events.tpl = int(data["tpl"])
    events.watchdog = data["watchdog"] and (data["watchdog"][0], data["watchdog"][1])


def _never() -> bool:
    return False
