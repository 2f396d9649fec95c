"""What ``if`` holds to be true."""

from __future__ import annotations

import pytest

from tdvfsh.script.conditions import Condition, ConditionError, compare
from tdvfsh.script.loops import LoopError, run_bounds, set_values


class Host:
    def __init__(self) -> None:
        self.printed: list[str] = []

    def file_exists(self, pattern: str) -> bool:
        return pattern == "here"

    def file_in_path(self, name: str) -> bool:
        return name == "tool"

    def has_profile(self, name: str) -> bool:
        return name == "Debug1"

    def print(self, text: str) -> None:
        self.printed.append(text)


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        ("10", "eq", "0xA", True),
        ("abc", "==", "ABC", True),  # both are bare hex, so they are the same number
        ("Hello", "==", "hello", False),
        ("-1", "lt", "0", True),
        ("-1", "ult", "0", False),
        ("3", "ult", "-1", True),
        ("0xFFFFFFFFFFFFFFFF", "eq", "-1", True),
        ("b", "gt", "a", True),
        ("x", "ge", "x", True),
        ("x", "le", "w", False),
        ("5", "ne", "5.0", True),
    ],
)
def test_numbers_compare_as_numbers_and_text_by_code_units(
    left: str, operator: str, right: str, expected: bool
) -> None:
    assert compare(left, operator, right) is expected


def test_slash_s_compares_numbers_as_text() -> None:
    assert not compare("10", "eq", "0xA", as_text=True)


def test_slash_i_lets_either_comparison_hold_so_ne_stays_true_for_other_case() -> None:
    assert compare("as", "==", "As", ignore_case=True, as_text=True)
    assert compare("as", "ne", "As", ignore_case=True, as_text=True)  # an edk2 quirk


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("if exist here then", True),
        ("if not exists(there) then", True),
        ("if available(tool) and profile(Debug1) then", True),
        ("if profile(debug1) then", False),
        ("if efierror(14) eq 0xE then", True),  # the error bit is lost on the way
        ("if 1 eq 2 and then", False),
    ],
)
def test_functions_and_joiners(line: str, expected: bool) -> None:
    assert Condition(line.split(), Host()).evaluate() is expected


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        ("if 14 eq efierror(14) then", ["Syntax after analyzing efierror\n"]),
        ("if oemerror(1) eq 1 then", ["Syntax after analyzing oemerror\n"]),
        ("if a b c d then", ["Syntax after c\n", "Binary operator not found first in 'b'\n"]),
        ("if 1 eq 1 then x", ["if: Then cannot be followed by anything\n"]),
    ],
)
def test_a_wrong_statement_says_what_firmware_says(line: str, messages: list[str]) -> None:
    host = Host()
    with pytest.raises(ConditionError):
        Condition(line.split(), host).evaluate()
    assert host.printed == messages


def test_an_if_without_then_has_no_value() -> None:
    assert Condition(["if", "1", "eq", "1"], Host()).evaluate() is None


@pytest.mark.parametrize(
    ("words", "bounds"),
    [
        (["(1", "3)"], (1, 3, 1)),
        (["(", "5", "1", ")"], (5, 1, -1)),
        (["(-2", "6", "4)"], (-2, 6, 4)),
        (["(1", "1)"], (1, 1, -1)),
    ],
)
def test_bounds_of_a_counting_loop(words: list[str], bounds: tuple[int, int, int]) -> None:
    assert run_bounds(words) == bounds


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["1", "3"], "1 3"),
        (["(1)"], "(1"),
        (["(1", "2", "3", "4)"], "(1 2 3 4"),
        (["(1", "3"], ""),
        (["(1234567", "1)"], "(1234567 1"),
    ],
)
def test_wrong_bounds_name_their_argument(words: list[str], named: str) -> None:
    with pytest.raises(LoopError) as caught:
        run_bounds(words)
    assert str(caught.value) == named


def test_only_patterns_that_fit_are_replaced_in_a_set() -> None:
    files = {"*.a": ["1.a", "2.a"]}
    assert set_values(["x", "*.a", "*.b"], lambda pattern: files.get(pattern, [])) == ["x", "1.a", "2.a", "*.b"]
