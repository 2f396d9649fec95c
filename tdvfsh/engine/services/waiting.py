"""How time passes while a guest waits: for a key of the terminal, for a timer, or in vain."""

from __future__ import annotations

from tdvfsh.engine.console.keys import KeySource
from tdvfsh.engine.errors import GuestIdle
from tdvfsh.engine.services.guest_time import GuestTime
from tdvfsh.engine.x86.guest_clock import GuestClock
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names

_POLL_NS: Final = 1_000_000
_POLL_SECONDS: Final = 0.002
_SLICE_SECONDS: Final = 0.1
_IDLE_POLLS: Final = 60_000
"""Polls in a row, a minute of virtual time, after which a guest without input or timers is idle."""

_NOT_PROGRESS: Final = frozenset(
    (
        service_names.CHECK_EVENT,
        service_names.STALL,
        service_names.RAISE_TPL,
        service_names.RESTORE_TPL,
        service_names.GET_TIME,
        service_names.SET_TIMER,
        service_names.CREATE_EVENT,
        service_names.CLOSE_EVENT,
        service_names.GET_VARIABLE,
        "EFI_SIMPLE_TEXT_INPUT_PROTOCOL.ReadKeyStroke",
        "EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL.ReadKeyStrokeEx",
        "EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.SetCursorPosition",
        "EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.EnableCursor",
        "EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.SetAttribute",
        "EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.QueryMode",
    )
)


class Idleness:
    """Count of a guest's polls in a row, in which it does nothing else.

    Attributes:
        stalls_only: Whether all of them were Stall.
    """

    def __init__(self) -> None:
        self._polls = 0
        self.stalls_only = True

    def served(self, name: str) -> None:
        """A service was called: a guest that does something is not idle."""
        if name not in _NOT_PROGRESS:
            self._polls = 0
            self.stalls_only = True

    def polled(self, by_stall: bool = False) -> bool:
        """The guest polls, or stalls; returns whether it has done so for too long."""
        self._polls += 1
        self.stalls_only = self.stalls_only and by_stall
        return self._polls > _IDLE_POLLS


class Waiting:
    """The passing of time while a guest waits.

    Args:
        clock: Virtual time.
        events: Timers, which fire while time passes.
        keys: What the guest may wait for.
        idleness: How long it has done nothing but wait.
    """

    def __init__(self, clock: GuestClock, time: GuestTime, keys: KeySource, idleness: Idleness) -> None:
        self._clock = clock
        self._time = time
        self._keys = keys
        self._idleness = idleness

    def stall(self, ns: int) -> None:
        """Stall: time passes; a user at the terminal waits as long."""
        if self._keys.live:
            self._keys.sleep(min(ns / 1e9, _SLICE_SECONDS))
        self._count(by_stall=True)
        self._time.advance(ns)

    def polled(self) -> None:
        """The guest asked whether something is ready, in vain."""
        self._count()
        if self._keys.live:
            self._keys.wait(_POLL_SECONDS)
            self._time.advance(int(_POLL_SECONDS * 1e9))
        else:
            self._time.advance(_POLL_NS)

    def halted(self) -> None:
        """The guest executed ``hlt``: the next timer tick wakes it, if anything does."""
        idle = self._idleness.polled()
        if self._keys.live:
            self._keys.wait(_POLL_SECONDS)
        elif idle:
            raise GuestIdle("the program has halted, and nothing wakes it")
        self._time.advance(_POLL_NS)

    def blocked(self) -> None:
        """The guest waits for events and none is signaled: on to the next key or timer."""
        due = self._time.next_due()
        now = self._clock.now_ns
        if self._keys.live:
            seconds = _SLICE_SECONDS if due is None else min(_SLICE_SECONDS, max(0.0, (due - now) / 1e9))
            self._keys.wait(seconds)
            self._time.advance(int(seconds * 1e9))
        elif due is not None:
            self._count()
            self._time.advance(max(0, due - now))
        else:
            raise GuestIdle("the program waits for a key, and the input has ended")

    def _count(self, by_stall: bool = False) -> None:
        if not self._idleness.polled(by_stall) or not self._keys.ended:
            return
        if self._idleness.stalls_only:
            raise GuestIdle(f"the program has called Stall {_IDLE_POLLS:,} times and done nothing else")
        raise GuestIdle("the program waits for a key, and the input has ended")
