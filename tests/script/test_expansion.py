"""Arguments, aliases and variables in a line."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.script.expansion import drop_unknown_variables, substitute_alias, substitute_arguments, substitute_variables


def test_missing_arguments_become_empty_quotes() -> None:
    assert substitute_arguments("%0 %1 %2", ["s", "a"]) == 's a ""'


def test_percent_ten_is_percent_one_and_a_zero() -> None:
    assert substitute_arguments("%10", ["s", "a"]) == "a0"


def test_an_argument_out_of_reach_stays_where_it_is_percent_zero() -> None:
    assert substitute_arguments("[%0] [%1]", [None]) == '[%0] [""]'


def test_a_value_with_a_later_variable_is_replaced_again_and_an_earlier_one_dropped() -> None:
    variables = [("a", "1"), ("b", "%a%"), ("c", "%d%"), ("d", "4")]
    assert substitute_variables("%b%|%c%", variables) == "|4"


def test_unknown_names_vanish_unless_they_cannot_be_names() -> None:
    assert drop_unknown_variables("[%nope%] 50%% %1x%") == "[] 50%% %1x%"


def test_an_escaped_percent_sign_becomes_a_percent_sign() -> None:
    assert substitute_variables("^%v^% %v%", [("v", "val")]) == "%v% val"


def test_loop_variables_are_replaced_everywhere() -> None:
    assert substitute_variables("%a%b x%ax", [], [("%a", "1"), ("%b", "2")]) == "12 x1x"


def test_a_command_wins_over_an_alias_of_its_name() -> None:
    aliases = {"ls": "echo", "dir": "ls"}
    assert substitute_alias("ls x", lambda name: name == "ls", aliases.get) == "ls x"
    assert substitute_alias("dir x", lambda name: name == "ls", aliases.get) == "ls x"


@settings(deadline=2000)
@given(st.text(alphabet='a%"^ ', max_size=30))
def test_dropping_unknown_names_always_ends(text: str) -> None:
    assert len(drop_unknown_variables(text)) <= len(text)
