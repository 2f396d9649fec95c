"""Carets, replacement and numbers: the ground that line processing stands on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.script.numbers import MAX_UINTN, is_number, parse_number, to_uintn
from tdvfsh.script.text import cut_comment, find_first, find_unescaped, replace


def test_a_caret_keeps_a_hash_from_starting_a_comment() -> None:
    assert cut_comment("echo a ^# b # c") == "echo a ^# b "


def test_quotes_do_not_keep_a_hash_from_starting_a_comment() -> None:
    assert cut_comment('echo "a # b"') == 'echo "a '


def test_a_guarded_replacement_leaves_an_escaped_target_alone() -> None:
    assert replace("%a% ^%a%", "%a%", "x", guarded=True) == "x ^%a%"


def test_a_replacement_is_not_searched_again() -> None:
    assert replace("aa", "a", "aa", guarded=True) == "aaaa"


def test_find_first_steps_over_caret_pairs() -> None:
    assert find_first('a^"b"', '"') == 4
    assert find_first("abc", "|") == 3


def test_find_unescaped_ignores_a_caret_before_its_start() -> None:
    assert find_unescaped("^%x", "%", 1) == 1
    assert find_unescaped("^%x", "%") == -1


@given(st.text(alphabet="ab%^ ", max_size=40))
def test_replacing_a_text_by_itself_changes_nothing(text: str) -> None:
    assert replace(text, "a%", "a%", guarded=True) == text
    assert replace(text, "a%", "a%", guarded=False) == text


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("12", 12),
        ("0x1F", 0x1F),
        ("abc", 0xABC),  # bare hex counts: isint(abc) is true on firmware
        ("00", 0),
        ("-5", 0),  # the sign is accepted and stops the conversion
        ("18446744073709551615", MAX_UINTN),
    ],
)
def test_words_that_are_numbers(word: str, value: int) -> None:
    assert parse_number(word) == value


@pytest.mark.parametrize("word", ["", "-", "x5", "0x-1", "5.0", "+5", "xyz", "99999999999999999999"])
def test_words_that_are_no_numbers(word: str) -> None:
    assert not is_number(word)


def test_a_word_that_is_no_number_becomes_the_highest_one() -> None:
    assert to_uintn("nonsense") == MAX_UINTN


@given(st.integers(min_value=0, max_value=MAX_UINTN))
def test_every_number_reads_back_in_both_bases(value: int) -> None:
    assert parse_number(f"{value:d}") == value
    assert parse_number(f"0x{value:x}") == value
