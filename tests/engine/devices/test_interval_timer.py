"""The 8254: counts, modes, latches and port 61, as a kernel and a boot loader use them."""

from __future__ import annotations

from collections import Counter

import pytest

from tdvfsh.engine.devices.interval_timer import FREQUENCY, IntervalTimer

CHANNEL_2, CONTROL = 2, 3
ONE_SHOT_BOTH, RATE_BOTH, SQUARE_BOTH = 0xB0, 0xB4, 0xB6
STROBE_LOW, TRIGGERED_HIGH = 0x98, 0xA2
LATCH_2, STATUS_2, STATUS_AND_COUNT_2 = 0x80, 0xE8, 0xC8
GATE, OUT = 1, 0x20


class Timer:
    """A timer, and the time in its own ticks."""

    def __init__(self) -> None:
        self.ticks = 0
        self.missing = Counter[str]()
        self.device = IntervalTimer(lambda: -(-self.ticks * 1_000_000_000 // FREQUENCY), self.missing)

    def start(self, word: int, count: int, gate: bool = True) -> None:
        self.gate(gate)
        self.device.write(CONTROL, 1, word)
        for byte in {0x10: [count & 0xFF], 0x20: [count >> 8], 0x30: [count & 0xFF, count >> 8]}[word & 0x30]:
            self.device.write(CHANNEL_2, 1, byte)

    def gate(self, high: bool) -> None:
        self.device.speaker.write(0, 1, GATE * high)

    def count(self, bytes_read: int = 2) -> int:
        return int.from_bytes(bytes(self.device.read(CHANNEL_2, 1) for _ in range(bytes_read)), "little")

    def out(self) -> bool:
        return bool(self.device.speaker.read(0, 1) & OUT)


def test_a_counter_counts_down_1_193_182_times_a_second() -> None:
    timer = Timer()
    timer.start(ONE_SHOT_BOTH, 0xFFFF)
    for ticks in (0, 1, 255, 256, 0xFFFE):
        timer.ticks = ticks
        assert timer.count() == 0xFFFF - ticks


def test_mode_0_raises_its_output_when_the_count_is_over_and_counts_on() -> None:
    timer = Timer()
    timer.start(ONE_SHOT_BOTH, 100)
    assert not timer.out()
    timer.ticks = 99
    assert not timer.out()
    timer.ticks = 100
    assert timer.out()
    timer.ticks = 101
    assert timer.count() == 0xFFFF


def test_a_low_gate_stops_mode_0_where_it_is() -> None:
    timer = Timer()
    timer.start(ONE_SHOT_BOTH, 100, gate=False)
    timer.ticks = 50
    assert timer.count() == 100
    timer.gate(True)
    timer.ticks = 80
    timer.gate(False)
    timer.ticks = 5000
    assert timer.count() == 70
    timer.gate(True)
    timer.ticks += 70
    assert timer.out()


@pytest.mark.parametrize(
    ("ticks", "count", "out"), [(0, 10, True), (8, 2, True), (9, 1, False), (10, 10, True), (19, 1, False)]
)
def test_mode_2_begins_again_and_its_output_is_low_for_the_last_tick(ticks: int, count: int, out: bool) -> None:
    timer = Timer()
    timer.start(RATE_BOTH, 10)
    timer.ticks = ticks
    assert (timer.count(), timer.out()) == (count, out)


@pytest.mark.parametrize(("ticks", "count", "out"), [(0, 10, True), (4, 2, True), (5, 10, False), (9, 2, False)])
def test_mode_3_counts_twice_in_steps_of_two(ticks: int, count: int, out: bool) -> None:
    timer = Timer()
    timer.start(SQUARE_BOTH, 10)
    timer.ticks = ticks
    assert (timer.count(), timer.out()) == (count, out)


def test_a_rising_gate_begins_a_period_anew() -> None:
    timer = Timer()
    timer.start(RATE_BOTH, 1000)
    timer.ticks = 300
    timer.gate(False)
    timer.ticks = 400
    timer.gate(True)
    timer.ticks = 410
    assert timer.count() == 990


def test_mode_1_waits_for_a_rising_gate() -> None:
    timer = Timer()
    timer.start(TRIGGERED_HIGH, 0x200, gate=False)
    timer.ticks = 1000
    assert timer.out()
    timer.gate(True)
    assert not timer.out()
    timer.ticks += 0x200
    assert timer.out()


def test_mode_4_is_low_for_one_tick() -> None:
    timer = Timer()
    timer.start(STROBE_LOW, 20)
    outs = []
    for timer.ticks in (19, 20, 21):
        outs.append(timer.out())
    assert outs == [True, False, True]


def test_a_count_of_0_is_the_longest() -> None:
    timer = Timer()
    timer.start(ONE_SHOT_BOTH, 0)
    timer.ticks = 0xFFFF
    assert (timer.count(), timer.out()) == (1, False)
    timer.ticks = 0x10000
    assert timer.out()


def test_a_latched_count_is_held_until_it_is_read() -> None:
    timer = Timer()
    timer.start(ONE_SHOT_BOTH, 1000)
    timer.ticks = 100
    timer.device.write(CONTROL, 1, LATCH_2)
    timer.ticks = 200
    timer.device.write(CONTROL, 1, LATCH_2)
    assert timer.count() == 900
    assert timer.count() == 800


def test_status_is_read_before_a_count_that_is_held_with_it() -> None:
    timer = Timer()
    timer.device.write(CONTROL, 1, RATE_BOTH)
    timer.device.write(CONTROL, 1, STATUS_2)
    assert timer.count(1) & 0x7F == 0x40 | 0x34
    timer.start(RATE_BOTH, 1000)
    timer.ticks = 10
    timer.device.write(CONTROL, 1, STATUS_AND_COUNT_2)
    timer.ticks = 500
    assert timer.count(1) == 0x80 | 0x34
    assert timer.count() == 990


def test_decimal_counting_is_named() -> None:
    timer = Timer()
    timer.start(ONE_SHOT_BOTH | 1, 1000)
    assert timer.missing == {"8254 PIT: decimal counting": 1}
