"""The CMOS clock, as the MC146818 datasheet has it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.devices.cmos import CmosClock

SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY = 0x00, 0x02, 0x04, 0x06, 0x07, 0x08, 0x09, 0x32
STATUS_A, STATUS_B, STATUS_C, STATUS_D = 0x0A, 0x0B, 0x0C, 0x0D


def read(now: datetime, register: int) -> int:
    clock = CmosClock(lambda: now)
    clock.write(0, 1, register)
    return clock.read(1)


def decimal(value: int) -> int:
    return int(f"{value:x}")


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)))
def test_a_reader_of_its_decimal_digits_finds_the_date(now: datetime) -> None:
    year = 100 * decimal(read(now, CENTURY)) + decimal(read(now, YEAR))
    found = [year, *(decimal(read(now, each)) for each in (MONTH, DAY, HOURS, MINUTES, SECONDS))]
    assert found == [now.year, now.month, now.day, now.hour, now.minute, now.second]


@pytest.mark.parametrize(("days", "weekday"), [(0, 1), (1, 2), (6, 7), (7, 1)])
def test_sunday_is_day_1(days: int, weekday: int) -> None:
    assert read(datetime(2024, 3, 3, tzinfo=UTC) + timedelta(days), WEEKDAY) == weekday  # from a Sunday


def test_it_is_valid_keeps_24_hours_in_decimal_digits_and_is_never_busy() -> None:
    now = datetime(2024, 1, 2, 23, 4, 5, tzinfo=UTC)
    assert read(now, STATUS_A) == 0x26  # 32,768 Hz, no update in progress
    assert read(now, STATUS_B) == 0x02
    assert read(now, STATUS_C) == 0
    assert read(now, STATUS_D) == 0x80
    assert read(now, HOURS) == 0x23


def test_bit_7_of_the_index_is_no_part_of_it_and_the_clock_cannot_be_set() -> None:
    clock = CmosClock(lambda: datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
    clock.write(0, 1, 0x80 | MONTH)
    clock.write(1, 1, 0x12)
    assert clock.read(1) == 0x05
