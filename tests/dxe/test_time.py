"""The real-time clock and the monotonic count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.monotonic_count import MonotonicCounter
from tdvfsh.dxe.time import START_SECONDS, RealTimeClock, WakeupResult
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.uefi.efi_time import EFI_UNSPECIFIED_TIMEZONE, EfiTime
from tdvfsh.uefi.status import SUCCESS, EfiStatus

SECOND = 1_000_000_000
DATE = EfiTime(2030, 5, 6, 7, 8, 9)
INVALID = EfiStatus.EFI_INVALID_PARAMETER


def moved(time: EfiTime, delta: timedelta) -> EfiTime:
    """A time so much later."""
    moment = datetime(*time[:6], tzinfo=UTC) + delta
    return time._replace(**dict(zip(EfiTime._fields[:6], moment.timetuple()[:6], strict=True)))


def test_the_date_starts_at_one_moment_and_goes_on_with_the_virtual_clock() -> None:
    clock = RealTimeClock()
    assert clock.get_time(0).time == EfiTime(2024, 1, 2, 3, 4, 0)
    assert clock.unix_seconds(0) == START_SECONDS
    assert clock.get_time(61 * SECOND + 1).time == moved(EfiTime(2024, 1, 2, 3, 4, 0), timedelta(seconds=61))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("year", 1899), ("year", 1997), ("year", 2098), ("month", 0), ("month", 13), ("day", 0), ("day", 32),
        ("hour", 24), ("minute", 60), ("second", 60), ("nanosecond", SECOND), ("time_zone", 1441),
        ("time_zone", -1441), ("daylight", 4), ("daylight", 0x80),
    ],
)  # fmt: skip
def test_a_field_out_of_range_is_refused_and_changes_nothing(field: str, value: int) -> None:
    clock = RealTimeClock()
    assert clock.set_time(DATE._replace(**{field: value}), 5) is INVALID
    assert clock.set_wakeup_time(True, DATE._replace(**{field: value}), 5) is INVALID
    assert clock == RealTimeClock()


def test_february_has_29_days_in_leap_years_only() -> None:
    assert RealTimeClock().set_time(EfiTime(2023, 2, 29, 0, 0, 0), 0) is INVALID
    assert RealTimeClock().set_time(EfiTime(2024, 2, 29, 0, 0, 0), 0) is SUCCESS


@given(
    st.datetimes(datetime(1998, 1, 1), datetime(2097, 12, 31)),
    st.one_of(st.just(EFI_UNSPECIFIED_TIMEZONE), st.integers(-1440, 1440)),
    st.integers(0, 3),
    st.integers(0, 10**15),
)
def test_what_was_set_is_read_back_with_zone_and_daylight(moment: datetime, zone: int, daylight: int, now: int) -> None:
    clock = RealTimeClock()
    time = EfiTime(*moment.timetuple()[:6], 0, zone, daylight)
    assert clock.set_time(time._replace(nanosecond=999_999_999), now) is SUCCESS
    assert clock.get_time(now).time == time
    assert EfiTime.unpack(time.pack()) == time
    assert clock.restart(now).get_time(0).time == time


def test_an_alarm_is_pending_once_when_its_time_has_come() -> None:
    clock = RealTimeClock()
    clock.set_time(DATE, 0)
    assert clock.get_wakeup_time(0) == WakeupResult(SUCCESS, False, False, DATE._replace(hour=0, minute=0, second=0))
    alarm = moved(DATE, timedelta(seconds=5))
    assert clock.set_wakeup_time(True, alarm, 0) is SUCCESS
    assert clock.get_wakeup_time(4 * SECOND) == WakeupResult(SUCCESS, True, False, alarm)
    assert clock.get_wakeup_time(5 * SECOND) == WakeupResult(SUCCESS, True, True, alarm)
    assert clock.get_wakeup_time(6 * SECOND) == WakeupResult(SUCCESS, True, False, alarm)
    assert clock.set_wakeup_time(False, None, 7 * SECOND) is SUCCESS
    assert clock.get_wakeup_time(8 * SECOND) == WakeupResult(SUCCESS, False, False, alarm)


def test_an_alarm_lies_within_a_day() -> None:
    clock = RealTimeClock()
    clock.set_time(DATE, 0)
    assert clock.set_wakeup_time(True, None, 0) is INVALID
    for delta in (timedelta(seconds=-1), timedelta(days=1, seconds=1)):
        assert clock.set_wakeup_time(True, moved(DATE, delta), 0) is EfiStatus.EFI_UNSUPPORTED
    assert clock.set_wakeup_time(True, moved(DATE, timedelta(days=1)), 0) is SUCCESS


def test_a_date_after_the_calendar_s_end_is_a_device_error() -> None:
    clock = RealTimeClock()
    end = 10**21
    assert clock.get_time(end).status is EfiStatus.EFI_DEVICE_ERROR
    assert clock.get_wakeup_time(end).status is EfiStatus.EFI_DEVICE_ERROR
    assert clock.set_wakeup_time(True, DATE, end) is EfiStatus.EFI_DEVICE_ERROR
    assert clock.set_time(DATE, end) is SUCCESS
    assert clock.get_time(end).time == DATE


def test_the_lower_half_of_the_count_begins_anew_with_every_start() -> None:
    counter = MonotonicCounter()
    assert [counter.get_next_monotonic_count() for _ in range(2)] == [1 << 32, (1 << 32) + 1]
    assert counter.restart().get_next_monotonic_count() == 2 << 32
    assert counter.get_next_high_monotonic_count() == 2
    assert counter.get_next_monotonic_count() == 2 << 32


def test_the_upper_half_rises_where_bit_31_changes() -> None:
    counter = MonotonicCounter((1 << 32) + (1 << 31) - 1)
    assert counter.get_next_monotonic_count() == (1 << 32) + (1 << 31) - 1
    assert counter.get_next_monotonic_count() == 2 << 32


@given(st.lists(st.sampled_from(["time", "zone", "alarm", "count", "high", "later"]), max_size=8))
def test_a_snapshot_brings_back_date_alarm_and_count(steps: list[str]) -> None:
    machine = Machine(TdOptions(memory=256 << 20))
    core = machine.services.core
    expected = (core.real_time_clock.copy(), core.monotonic_counter.copy(), machine.clock.now_ns)
    snapshot = machine.snapshot()
    for step in steps:
        core, now = machine.services.core, machine.clock.now_ns
        if step == "time":
            core.real_time_clock.set_time(DATE, now)
        elif step == "zone":
            core.real_time_clock.time_zone = 60
        elif step == "alarm":
            core.real_time_clock.set_wakeup_time(True, core.real_time_clock.get_time(now).time, now)
        elif step == "count":
            core.monotonic_counter.get_next_monotonic_count()
        elif step == "high":
            core.monotonic_counter.get_next_high_monotonic_count()
        else:
            machine.clock.advance(SECOND)
    assert machine.snapshot(snapshot).is_state_of(snapshot) is (not steps)
    machine.restore(snapshot)
    core = machine.services.core
    assert (core.real_time_clock, core.monotonic_counter, machine.clock.now_ns) == expected
