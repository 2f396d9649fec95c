"""Events, notifications by task priority, timers, and who is notified of protocols."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.events import (
    EVT_NOTIFY_SIGNAL,
    EVT_NOTIFY_WAIT,
    EVT_TIMER,
    TIMER_CANCEL,
    TIMER_PERIODIC,
    TIMER_RELATIVE,
    TPL_CALLBACK,
    TPL_HIGH_LEVEL,
    TPL_NOTIFY,
    EventServices,
    GuestNotify,
)
from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.machine.snapshot import same
from tdvfsh.uefi.guids import EFI_BLOCK_IO_PROTOCOL_GUID, EFI_DISK_IO_PROTOCOL_GUID, EFI_EVENT_GROUP_READY_TO_BOOT
from tdvfsh.uefi.status import SUCCESS, EfiStatus

SECOND = 1_000_000_000
INVALID, NOT_READY = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_NOT_READY


class Programs(EventServices):
    """Events whose programs' notifications are noted."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, int, int]] = []
        self.call = lambda *arguments: self.calls.append(arguments)

    def add(self, kind: int = EVT_NOTIFY_SIGNAL, tpl: int = TPL_CALLBACK, function: int = 1) -> int:
        return self.create_event(GuestNotify(function, 7), kind=kind, notify_tpl=tpl)


def test_a_signaled_event_is_notified_once_with_its_context() -> None:
    events = Programs()
    event = events.add()
    assert events.signal_event(event) is SUCCESS
    assert events.calls == [(1, event, 7)]
    assert events.check_event(event) is INVALID


def test_notifications_wait_for_the_priority_and_the_highest_comes_first() -> None:
    events = Programs()
    low, high = events.add(tpl=TPL_CALLBACK), events.add(tpl=TPL_NOTIFY)
    assert events.raise_tpl(TPL_HIGH_LEVEL) == 4
    for event in (low, high, high):
        events.signal_event(event)
    assert events.calls == []
    assert events.queued == (low, high)
    events.restore_tpl(TPL_CALLBACK)
    assert [event for _, event, _ in events.calls] == [high]
    events.restore_tpl(4)
    assert [event for _, event, _ in events.calls] == [high, low]


def test_where_no_program_can_run_notifications_stay_queued() -> None:
    events = Programs()
    events.call = None
    event = events.add()
    events.signal_event(event)
    assert events.queued == (event,)
    events.call = lambda *arguments: events.calls.append(arguments)
    events.dispatch()
    assert len(events.calls) == 1


def test_an_event_that_is_closed_is_not_notified_any_more() -> None:
    events = Programs()
    event = events.add()
    events.raise_tpl(TPL_HIGH_LEVEL)
    events.signal_event(event)
    assert events.close_event(event) is SUCCESS
    events.restore_tpl(4)
    assert events.calls == []
    assert events.signal_event(event) is INVALID


def test_checking_calls_the_notification_which_may_signal() -> None:
    events = Programs()
    event = events.add(EVT_NOTIFY_WAIT)
    assert events.check_event(event) is NOT_READY
    events.call = lambda *arguments: events.signal_event(event)
    assert events.check_event(event) is SUCCESS
    ready = [False, True]
    own = events.create_ready_event(lambda: ready.pop(0))
    assert [events.check_event(own) for _ in range(2)] == [NOT_READY, SUCCESS]


def test_timers_fire_once_or_again_and_can_be_cancelled() -> None:
    events = Programs()
    once, again = events.add(EVT_TIMER | EVT_NOTIFY_SIGNAL), events.add(EVT_TIMER | EVT_NOTIFY_SIGNAL)
    assert events.set_timer(once, TIMER_RELATIVE, 3 * SECOND, SECOND) is SUCCESS
    assert events.set_timer(again, TIMER_PERIODIC, 2 * SECOND, SECOND) is SUCCESS
    fired: list[int] = []
    while (due := events.next_due()) is not None and due <= 6 * SECOND:
        events.fire(due)
        fired.append(due // SECOND)
    assert fired == [3, 4, 5]
    assert [event for _, event, _ in events.calls] == [again, once, again]
    assert events.set_timer(again, TIMER_CANCEL, 0, 0) is SUCCESS
    assert events.next_due() is None
    assert events.set_timer(again, 3, 0, 0) is INVALID
    assert events.set_timer(events.add(), TIMER_RELATIVE, 1, 0) is INVALID
    events.set_timer(once, TIMER_RELATIVE, 0, 0)
    assert events.next_due() == SECOND // 100


def test_events_of_the_processor_keep_their_numbers() -> None:
    events = Programs()
    first = events.create_ready_event(lambda: False)
    program = events.add()
    with events.replacing_ready_events():
        assert events.create_ready_event(lambda: True) == first
        assert events.create_ready_event(lambda: True) == program + 1
    assert events.check_event(first) is SUCCESS
    assert [number for number, _ in events.items()] == [first, program, program + 1]
    assert events.add() == program + 2


STEPS = st.lists(
    st.sampled_from(["add", "signal", "close", "raise", "restore", "timer", "fire", "watchdog"]), max_size=12
)


@given(STEPS, STEPS)
def test_a_copy_has_the_events_of_its_moment(before: list[str], after: list[str]) -> None:
    events = EventServices()
    play(events, before)
    twin = events.copy()
    assert same(twin, events)
    kept = state(twin)
    play(events, after)
    assert state(twin) == kept
    assert same(twin, events) is (state(events) == kept)


def state(events: EventServices) -> object:
    return repr(events.items()), events.queued, events.tpl, events.watchdog, events._next


def play(events: EventServices, steps: list[str]) -> None:
    """Let things happen to the oldest event."""
    for step in steps:
        oldest = next((number for number, _ in events.items()), 0)
        if step == "add":
            events.create_event(
                GuestNotify(1, 2), EFI_EVENT_GROUP_READY_TO_BOOT, kind=EVT_TIMER | EVT_NOTIFY_SIGNAL, notify_tpl=8
            )
        elif step == "signal":
            events.signal_event(oldest)
        elif step == "close":
            events.close_event(oldest)
        elif step == "raise":
            events.raise_tpl(TPL_NOTIFY)
        elif step == "restore":
            events.restore_tpl(4)
        elif step == "timer":
            events.set_timer(oldest, TIMER_PERIODIC, SECOND, 0)
        elif step == "fire":
            events.fire(events.next_due() or 0)
        else:
            events.watchdog = (SECOND, 1)


@pytest.mark.parametrize("copied", [False, True])
def test_new_handles_of_a_protocol_are_asked_for_in_turn(copied: bool) -> None:
    notifies = HandleDatabase().notifies
    key = notifies.register(EFI_BLOCK_IO_PROTOCOL_GUID, 5)
    other = notifies.register(EFI_DISK_IO_PROTOCOL_GUID, 6)
    assert notifies.announce(1, EFI_BLOCK_IO_PROTOCOL_GUID) == notifies.announce(2, EFI_BLOCK_IO_PROTOCOL_GUID) == [5]
    if copied:
        twin = notifies.copy()
        notifies.take(key)
        notifies.event_closed(6)
        notifies = twin
    assert notifies.next_handle(key) == [1]
    notifies.forget(1, EFI_BLOCK_IO_PROTOCOL_GUID)
    assert (notifies.take(key), notifies.take(key), notifies.next_handle(key)) == (2, None, [])
    assert notifies.next_handle(other) == []
    notifies.event_closed(6)
    assert notifies.next_handle(other) is None
    assert notifies.take(other) is None
