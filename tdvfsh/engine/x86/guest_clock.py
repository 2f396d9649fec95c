"""Time as the guest sees it: the TD's virtual clock, moved on by waiting."""

from __future__ import annotations

from tdvfsh.lazy_typing import Final
from tdvfsh.td.clock import VirtualClock

_READ_NS: Final = 100  # a loop that only reads the time must end
_UNEVEN_NS: Final = 63
_POLL_NS: Final = 1_000
_LONG_POLL_NS: Final = 100_000
_SHORT_POLLS: Final = 8
_BETWEEN_POLLS_NS: Final = 5_000
_MULTIPLIER: Final = 6364136223846793005
_INCREMENT: Final = 1442695040888963407
_WORD: Final = (1 << 64) - 1


class GuestClock:
    """The virtual clock, and how much of its time was spent waiting.

    Args:
        clock: The machine's.

    Attributes:
        uneven: Whether reading the time takes a little more now and less then, the same in every run. A kernel gathers
            entropy from that and does not continue where there is none.
        waited_ns: Nanoseconds that passed because the guest waited or read the time, not because memory was accepted.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.waited_ns = 0
        self.uneven = False
        self._sequence = 0
        self._polled = -1
        self._polls = 0

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds."""
        return self._clock.now_ns

    def advance(self, ns: int) -> None:
        """Let time pass."""
        self._clock.advance(ns)
        self.waited_ns += ns

    def read(self) -> int:
        """The time, for a guest that polls it: reading takes a moment."""
        self.advance(_READ_NS + (self._unevenness() if self.uneven else 0))
        return self._clock.now_ns

    def access(self) -> int:
        """The time at a device's register, for a guest that compares two clocks: each access takes a microsecond."""
        self.advance(_POLL_NS)
        return self._clock.now_ns

    def poll(self) -> int:
        """The time, for a guest that reads a counter by an exit: where little else lets time pass, a read takes longer.

        Firmware waits so for seconds, with PAUSE in between, and each read would take but a microsecond of them.
        """
        self._polls = self._polls + 1 if self._clock.now_ns - self._polled <= _BETWEEN_POLLS_NS else 0
        self.advance(_LONG_POLL_NS if self._polls > _SHORT_POLLS else _POLL_NS)
        self._polled = self._clock.now_ns
        return self._polled

    def _unevenness(self) -> int:
        self._sequence = (self._sequence * _MULTIPLIER + _INCREMENT) & _WORD
        return self._sequence >> 40 & _UNEVEN_NS
