"""The 8254 interval timer at ports 40 to 43, and port 61, which shows channel 2: they count, and interrupt nobody.

A kernel without another reference measures its time stamp counter by channel 2. There is no 8259 on this board, so
that nothing is wired to channel 0's output.

Source: Intel 8254 datasheet (231164); QEMU hw/timer/i8254.c and hw/audio/pcspk.c.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tdvfsh.lazy_typing import Final

COUNTERS: Final = 0x40
PORTS: Final = 4
SPEAKER: Final = 0x61
FREQUENCY: Final = 1_193_182
_SECOND_NS: Final = 1_000_000_000
_LONGEST: Final = 0x10000
_CONTROL: Final = 3
_READ_BACK: Final = 3
_LATCH, _LOW, _HIGH, _BOTH = range(4)
_TERMINAL, _ONE_SHOT, _RATE, _SQUARE, _SOFTWARE_STROBE, _HARDWARE_STROBE = range(6)
_STOPPED_BY_GATE: Final = (_TERMINAL, _SOFTWARE_STROBE)
_STARTED_BY_GATE: Final = (_ONE_SHOT, _HARDWARE_STROBE)
_PERIODIC: Final = (_RATE, _SQUARE)
_MODES: Final = (0, 1, 2, 3, 4, 5, 2, 3)
_OUT: Final = 1 << 7
_NULL_COUNT: Final = 1 << 6
_SPEAKER_BITS: Final = 3
_REFRESH: Final = 1 << 4
_OUT_2: Final = 1 << 5
_REFRESH_TICKS: Final = 18


class Channel:
    """One of the three counters. What it is called with as ``now`` are ticks of the timer's clock.

    Args:
        gate: Whether its gate is high.
    """

    def __init__(self, gate: bool) -> None:
        self.gate = gate
        self._mode = _TERMINAL
        self._access = _BOTH
        self._count = _LONGEST
        self._begin = 0
        self._stands_at: int | None = 0
        self._null = True
        self._first: int | None = None
        self._second_is_next = False
        self._latched: list[int] = []

    def control(self, access: int, mode: int) -> None:
        """A control word: it waits for its count."""
        self._mode, self._access = mode, access
        self._stands_at, self._null = 0, True
        self._first, self._second_is_next = None, False
        self._latched.clear()

    def write(self, value: int, now: int) -> None:
        """A byte of the count; the last one starts the counter, unless a rising gate is to do so."""
        if self._access == _BOTH and self._first is None:
            self._first = value
            return
        count = value << 8 | self._first if self._first is not None else value << 8 * (self._access == _HIGH)
        self._first = None
        self._count, self._null = count or _LONGEST, False
        if self._mode not in _STARTED_BY_GATE:
            self._begin, self._stands_at = now, None if self.gate else 0

    def set_gate(self, gate: bool, now: int) -> None:
        """What an edge does depends on the mode: count on or not, or begin anew."""
        if gate == self.gate:
            return
        self.gate = gate
        if not gate:
            if self._mode not in _STARTED_BY_GATE:
                self._stands_at = self._ticks(now)
        elif not self._null:
            stood_at = self._ticks(now) if self._mode in _STOPPED_BY_GATE else 0
            self._begin, self._stands_at = now - stood_at, None

    def _ticks(self, now: int) -> int:
        return now - self._begin if self._stands_at is None else self._stands_at

    def value(self, now: int) -> int:
        """The counting element."""
        ticks = self._ticks(now)
        if self._mode == _SQUARE:
            ticks = 2 * ticks
        if self._mode in _PERIODIC:
            ticks %= self._count
        return self._count - ticks & 0xFFFF

    def out(self, now: int) -> bool:
        """The output."""
        ticks, count = self._ticks(now), self._count
        stands = self._stands_at is not None
        match self._mode:
            case 0:
                return not self._null and ticks >= count
            case 1:
                return stands or ticks >= count
            case 2:
                return stands or ticks % count != count - 1
            case 3:
                return stands or ticks % count < (count + 1) // 2
            case _:
                return stands or ticks != count

    def latch(self, now: int) -> None:
        """Hold the count until it is read."""
        if not self._latched:
            self._latched = self._bytes(self.value(now))

    def latch_status(self, now: int) -> None:
        """Hold the status byte, which is read before a count that is held too."""
        status = _OUT * self.out(now) | _NULL_COUNT * self._null | self._access << 4 | self._mode << 1
        self._latched.insert(0, status)

    def read(self, now: int) -> int:
        """The next byte of the count, or of what is held."""
        if self._latched:
            return self._latched.pop(0)
        first, *rest = self._bytes(self.value(now))
        if not rest:
            return first
        self._second_is_next = not self._second_is_next
        return first if self._second_is_next else rest[0]

    def _bytes(self, value: int) -> list[int]:
        low, high = value & 0xFF, value >> 8
        return [[], [low], [high], [low, high]][self._access]


class IntervalTimer:
    """The timer.

    Args:
        now: Virtual nanoseconds; each access takes a moment.
        missing: Counts what is asked for and lacking.
    """

    def __init__(self, now: Callable[[], int], missing: Counter[str]) -> None:
        self._clock = now
        self._missing = missing
        self._channels = (Channel(True), Channel(True), Channel(False))
        self.speaker = Speaker(self._now, self._channels[2])

    def _now(self) -> int:
        return self._clock() * FREQUENCY // _SECOND_NS

    def read(self, offset: int, size: int) -> int:
        """A byte of a counter; the control word cannot be read."""
        return 0xFF if offset == _CONTROL else self._channels[offset].read(self._now())

    def write(self, offset: int, size: int, value: int) -> None:
        """A control word, or a byte of a count."""
        value &= 0xFF
        if offset != _CONTROL:
            self._channels[offset].write(value, self._now())
            return
        number, access, mode = value >> 6, value >> 4 & 3, _MODES[value >> 1 & 7]
        if number == _READ_BACK:
            self._read_back(value)
        elif access == _LATCH:
            self._channels[number].latch(self._now())
        else:
            if value & 1:
                self._missing["8254 PIT: decimal counting"] += 1
            self._channels[number].control(access, mode)

    def _read_back(self, value: int) -> None:
        now = self._now()
        for number, channel in enumerate(self._channels):
            if value >> number + 1 & 1:
                if not value & 0x20:
                    channel.latch(now)
                if not value & 0x10:
                    channel.latch_status(now)


class Speaker:
    """Port 61: the gate of channel 2, its output, and a bit that changes as memory is refreshed.

    Args:
        now: Ticks of the timer's clock.
        channel: Channel 2.
    """

    def __init__(self, now: Callable[[], int], channel: Channel) -> None:
        self._now = now
        self._channel = channel
        self._bits = 0

    def read(self, offset: int, size: int) -> int:
        """The bits that were written, output and refresh."""
        now = self._now()
        return self._bits | _OUT_2 * self._channel.out(now) | _REFRESH * (now // _REFRESH_TICKS & 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """Gate and speaker."""
        self._bits = value & _SPEAKER_BITS
        self._channel.set_gate(bool(value & 1), self._now())
