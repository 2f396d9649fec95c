"""JSON and TOML of others: read, or refused in one line, before they cost memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.documents import MAXIMUM_VALUES, read_json, read_toml
from tdvfsh.errors import FormatError

LEAVES = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES)
def test_what_json_holds_is_read_as_text_and_as_bytes(value: object) -> None:
    text = json.dumps(value)
    assert read_json(text, "f", "it") == value
    assert read_json(text.encode(), "f", "it") == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it: not JSON"),
        ("[" * 200_000, "it: nested too deeply"),
        ("9" * 5000, "it: not JSON"),
        ("[" + "[]," * MAXIMUM_VALUES + "[]]", f"it: more than {MAXIMUM_VALUES} values"),
    ],
)
def test_what_cannot_be_read_is_one_line(text: str, why: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(FormatError) as refused:
            read_json(form, "f", "it")
        assert str(refused.value) == f"f: {why}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = ", "not TOML: "),
        ("a = " + "[" * 50_000, "nested too deeply"),
        ("a = " + "9" * 6000, "not TOML: an integer of thousands of digits"),
        ("a = [" + "[]," * MAXIMUM_VALUES + "]", f"more than {MAXIMUM_VALUES} values"),
    ],
)
def test_toml_that_cannot_be_read_is_one_line(text: str, why: str) -> None:
    with pytest.raises(FormatError) as refused:
        read_toml(text, "f")
    assert str(refused.value).startswith(f"f: {why}")
    assert "\n" not in str(refused.value)


def test_toml_is_read() -> None:
    assert read_toml("a = [1, 2]\n[b]\nc = 'd'", "f") == {"a": [1, 2], "b": {"c": "d"}}
