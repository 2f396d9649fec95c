"""Shapes of JSON values of files that others wrote: each checks a value and names the field that is wrong.

A shape is a function of a value and the field's name that raises
:class:`~tdvfsh.formats.typed_json.FieldError`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from tdvfsh.formats.typed_json import MOST, FieldError, wrong
from tdvfsh.lazy_typing import Final

Shape = Callable[[object, str], None]


def whole(most: int = MOST, least: int = 0) -> Shape:
    """A whole number of a range, both ends included."""

    def check(value: object, field: str) -> None:
        if type(value) is not int or not least <= value <= most:
            raise wrong(field, f"a number from {least} to {'2^64' if most == MOST else most}", value)

    return check


def text(value: object, field: str) -> None:
    """A string."""
    if type(value) is not str:
        raise wrong(field, "a text", value)


def flag(value: object, field: str) -> None:
    """True or false."""
    if type(value) is not bool:
        raise wrong(field, "true or false", value)


def anything(value: object, field: str) -> None:
    """Checked by the code that reads it."""


def one_of(known: Collection[str | int]) -> Shape:
    """One of some texts or numbers."""

    def check(value: object, field: str) -> None:
        if type(value) not in (str, int) or value not in known:
            raise wrong(field, f"one of {', '.join(map(str, known))}", value)

    return check


def maybe(shape: Shape) -> Shape:
    """Null, or what ``shape`` takes."""

    def check(value: object, field: str) -> None:
        if value is not None:
            shape(value, field)

    return check


def items(shape: Shape) -> Shape:
    """A list of any length."""

    def check(value: object, field: str) -> None:
        if type(value) is not list:
            raise wrong(field, "a list", value)
        for index, entry in enumerate(value):
            shape(entry, f"{field}[{index}]")

    return check


def row(*columns: Shape) -> Shape:
    """A list of as many values as there are columns."""

    def check(value: object, field: str) -> None:
        if type(value) is not list or len(value) != len(columns):
            raise wrong(field, f"a list of {len(columns)}", value)
        for index, (shape, entry) in enumerate(zip(columns, value, strict=True)):
            shape(entry, f"{field}[{index}]")

    return check


def fields(required: Mapping[str, Shape], optional: Mapping[str, Shape] = {}) -> Shape:
    """An object with these fields and no others."""

    def check(value: object, field: str) -> None:
        if type(value) is not dict:
            raise wrong(field, "an object", value)
        for name, shape in required.items():
            if name not in value:
                raise FieldError(_inner(field, name), "is missing")
            shape(value[name], _inner(field, name))
        for name in value.keys() - required.keys():
            if name not in optional:
                raise FieldError(_inner(field, str(name)), "is not known")
            optional[name](value[name], _inner(field, name))

    return check


def mapping(shape: Shape) -> Shape:
    """An object with any names."""

    def check(value: object, field: str) -> None:
        if type(value) is not dict:
            raise wrong(field, "an object", value)
        for name, entry in value.items():
            shape(entry, _inner(field, str(name)))

    return check


def ranges(shape: Shape, alignment: int = 1, end: int = MOST) -> Shape:
    """Rows that begin with ``start, end``: aligned, none empty, in order and none over another."""

    def check(value: object, field: str) -> None:
        items(shape)(value, field)
        assert isinstance(value, list)
        before = 0
        for index, (start, stop, *_) in enumerate(value):
            if not before <= start < stop <= end or start % alignment or stop % alignment:
                raise FieldError(
                    f"{field}[{index}]", f"is not a range after the one before it: {start:#x} to {stop:#x}"
                )
            before = stop

    return check


def _inner(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


NUMBER: Final = whole()
