"""The words of ``timezone``."""

from __future__ import annotations

import pytest

from tests.shell.under_test import ShellUnderTest


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("-08:00", "UTC-08:00"),
        ("1:00", "UTC+01:00"),
        ("5:45", "UTC+05:45"),
        ("-3:30", "UTC-03:30"),
        ("_local", "LOCAL"),
    ],
)
def test_a_zone_of_the_list_is_set(under_test: ShellUnderTest, word: str, shown: str) -> None:
    assert under_test.run(f"timezone -s {word}", "timezone") == f"{shown}\n"


@pytest.mark.parametrize("word", ["+1:00", "-13:00", "1:01", "12", "2048", "x", "1:00:00"])
def test_other_zones_are_invalid(under_test: ShellUnderTest, word: str) -> None:
    assert under_test.run(f"timezone -s {word}", "echo %lasterror%") == (
        f"timezone: Invalid argument - '{word}'\n0x2\n"
    )


def test_words_that_are_no_times_stay_flags(under_test: ShellUnderTest) -> None:
    assert under_test.run("timezone -z") == "timezone: Unknown flag - '-z'\n"
    assert under_test.run("timezone -08:00") == "timezone: Unknown flag - '-08:00'\n"
    assert under_test.run("timezone -5") == "timezone: Too many arguments.\n"


def test_dates_need_all_their_parts_and_times_two(under_test: ShellUnderTest) -> None:
    assert under_test.run("date 1/1/") == "date: Invalid argument - '1/1/'\n"
    assert under_test.run("date 1//2020") == "date: Invalid argument - '1//2020'\n"
    assert under_test.run("time 1:") == "time: Invalid argument - '1:'\n"
    assert under_test.run("time 1:2:", "time").startswith("01:02:00 ")
