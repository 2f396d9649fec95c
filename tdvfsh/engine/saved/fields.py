"""Fields of an object's state as JSON values: how each is written, what is valid, and how it is read back.

A table names an object's attributes. What a file says is checked against the table before anything is changed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping

from tdvfsh.formats import shapes
from tdvfsh.formats.shapes import Shape
from tdvfsh.formats.typed_json import FieldError, wrong
from tdvfsh.lazy_typing import Any, Final, NamedTuple

Json = dict[str, Any]


class Field(NamedTuple):
    """One attribute.

    Attributes:
        write: Makes a JSON value of it.
        shape: Checks such a value.
        read: Makes the attribute's value of it, given the present one too.
    """

    write: Callable[[Any], object]
    shape: Shape
    read: Callable[[Any, Any], Any]


Fields = Mapping[str, Field]
"""By the attribute's name."""


def _same(value: Any) -> Any:
    return value


def _take(value: Any, present: Any) -> Any:
    return value


def number(bits: int = 64, least: int = 0) -> Field:
    """A whole number of so many bits."""
    return Field(_same, shapes.whole((1 << bits) - 1, least), _take)


def number_to(most: int, least: int = 0) -> Field:
    """A whole number from ``least`` to ``most``."""
    return Field(_same, shapes.whole(most, least), _take)


def number_or_none(bits: int = 64) -> Field:
    """The same, or None."""
    return Field(_same, shapes.maybe(shapes.whole((1 << bits) - 1)), _take)


FLAG: Final = Field(bool, shapes.flag, _take)
TEXT: Final = Field(_same, shapes.text, _take)


def _hex(value: object, field: str) -> None:
    shapes.text(value, field)
    try:
        bytes.fromhex(str(value))
    except ValueError:
        raise wrong(field, "hexadecimal bytes", value) from None


BYTES: Final = Field(lambda value: bytes(value).hex(), _hex, lambda value, present: bytes.fromhex(value))
"""Bytes of any length."""


def block(size: int) -> Field:
    """A bytearray of a size that never changes."""

    def check(value: object, field: str) -> None:
        _hex(value, field)
        if len(str(value)) != 2 * size:
            raise FieldError(field, f"is not {size} bytes")

    return Field(lambda value: bytes(value).hex(), check, lambda value, present: bytearray.fromhex(value))


def numbers(bits: int, count: int | None = None) -> Field:
    """A list of whole numbers."""
    each = shapes.whole((1 << bits) - 1)
    shape = shapes.items(each) if count is None else shapes.row(*[each] * count)
    return Field(list, shape, _take)


def queue(bits: int) -> Field:
    """A deque of whole numbers."""
    return Field(list, shapes.items(shapes.whole((1 << bits) - 1)), lambda value, present: deque(value))


def number_set(bits: int) -> Field:
    """A set of whole numbers."""
    return Field(sorted, shapes.items(shapes.whole((1 << bits) - 1)), lambda value, present: set(value))


def table(bits: int = 64) -> Field:
    """A dict of whole numbers by whole numbers, whose keys never change."""
    one = shapes.row(shapes.whole((1 << 64) - 1), shapes.whole((1 << bits) - 1))

    def read(value: Any, present: Any) -> Any:
        found = dict(value)
        if found.keys() != present.keys():
            raise FieldError("", "has other registers than this machine")
        return found

    return Field(_rows, shapes.items(one), read)


def open_table(bits: int = 8) -> Field:
    """The same with any keys of so many bits."""
    one = shapes.row(shapes.whole((1 << bits) - 1), shapes.whole((1 << bits) - 1))
    return Field(_rows, shapes.items(one), lambda value, present: dict(value))


def _rows(value: Mapping[int, int]) -> list[list[int]]:
    return [[key, value[key]] for key in sorted(value)]


COUNTS: Final = Field(
    dict,  # in their order, by which a report shows those that are as often
    shapes.mapping(shapes.NUMBER),
    lambda value, present: Counter(value),
)
"""A Counter by texts."""


def saved(thing: object, fields: Fields) -> Json:
    """The state of an object."""
    return {name.lstrip("_"): field.write(getattr(thing, name)) for name, field in fields.items()}


def shape_of(fields: Fields) -> Shape:
    """The shape of what :func:`saved` returns."""
    return shapes.fields({name.lstrip("_"): field.shape for name, field in fields.items()})


def restore(thing: object, fields: Fields, data: Any, where: str) -> None:
    """Set an object to a state that :func:`saved` returned; raises FieldError where it is not one."""
    shape_of(fields)(data, where)
    for name, field in fields.items():
        try:
            value = field.read(data[name.lstrip("_")], getattr(thing, name))
        except FieldError as error:
            raise FieldError(f"{where}.{name.lstrip('_')}", str(error)) from None
        setattr(thing, name, value)
