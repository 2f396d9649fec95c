"""Shapes name the field that is wrong, and what should stand there."""

from __future__ import annotations

import pytest

from tdvfsh.formats.shapes import Shape, fields, flag, items, mapping, maybe, one_of, ranges, row, text, whole
from tdvfsh.formats.typed_json import FieldError

POINT = row(whole(), whole())


@pytest.mark.parametrize(
    ("shape", "value", "why"),
    [
        (whole(5), 6, "'x' is not a number from 0 to 5: 6"),
        (whole(), True, "'x' is not a number from 0 to 2^64: True"),
        (whole(), 1.0, "'x' is not a number from 0 to 2^64: 1.0"),
        (whole(5, least=-2), -3, "'x' is not a number from -2 to 5: -3"),
        (text, 1, "'x' is not a text: 1"),
        (flag, 1, "'x' is not true or false: 1"),
        (one_of(["a", "b"]), "c", "'x' is not one of a, b: 'c'"),
        (one_of([0, 1]), True, "'x' is not one of 0, 1: True"),
        (items(text), ["a", 1], "'x[1]' is not a text: 1"),
        (items(text), "ab", "'x' is not a list: 'ab'"),
        (POINT, [1], "'x' is not a list of 2: [1]"),
        (POINT, [1, "a"], "'x[1]' is not a number from 0 to 2^64: 'a'"),
        (fields({"a": text}), {}, "'x.a' is missing"),
        (fields({"a": text}), {"a": "", "b": 1}, "'x.b' is not known"),
        (fields({"a": text}, {"b": flag}), {"a": "", "b": 1}, "'x.b' is not true or false: 1"),
        (mapping(text), {"k": 1}, "'x.k' is not a text: 1"),
        (ranges(POINT), [[0, 2], [1, 3]], "'x[1]' is not a range after the one before it: 0x1 to 0x3"),
        (ranges(POINT), [[2, 2]], "'x[0]' is not a range after the one before it: 0x2 to 0x2"),
        (ranges(POINT, 16), [[0, 8]], "'x[0]' is not a range after the one before it: 0x0 to 0x8"),
    ],
)
def test_what_does_not_fit_is_named(shape: Shape, value: object, why: str) -> None:
    with pytest.raises(FieldError) as refused:
        shape(value, "x")
    assert str(refused.value) == why


def test_what_fits_passes() -> None:
    fields({"a": maybe(text), "b": ranges(POINT, 16)}, {"c": flag})({"a": None, "b": [[0, 16], [16, 48]]}, "")
