"""Time as the guest sees it: the TD's virtual clock, moved on by waiting."""

from __future__ import annotations

from typing import Final

from tdvfsh.td.clock import VirtualClock

_READ_NS: Final = 100  # a loop that only reads the time must come to its end


class GuestClock:
    """The virtual clock, and how much of its time was spent waiting.

    Args:
        clock: The machine's.

    Attributes:
        waited_ns: Nanoseconds that passed because the guest waited or read the time, not because memory was accepted.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.waited_ns = 0

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds."""
        return self._clock.now_ns

    def advance(self, ns: int) -> None:
        """Let time pass."""
        self._clock.advance(ns)
        self.waited_ns += ns

    def read(self) -> int:
        """The time, for one who polls it: reading takes a moment."""
        self.advance(_READ_NS)
        return self._clock.now_ns
