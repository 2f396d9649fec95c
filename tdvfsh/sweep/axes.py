"""The axes of a sweep: which TD options vary, and how a value is written in a spec and in results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.machine.options import TdOptions
from tdvfsh.options.option import Option, Plain, shown
from tdvfsh.options.td import OPTIONS
from tdvfsh.units import format_size, parse_size

Value = Plain
"""An axis value as results hold it: sizes are bytes, policies and names are words."""
AXES: Final = tuple(option for option in OPTIONS.values() if option.sweep)
AXIS_NAMES: Final = tuple(axis.name for axis in AXES)
_BY_NAME: Final = {axis.name: axis for axis in AXES}
_RANGE_KEYS: Final = {"from", "to", "step"}
_RANGED: Final = tuple(axis for axis in AXES if axis.is_size and not axis.choices())

_SUFFIXES: Final = {index: axis.suffix for index, axis in enumerate(AXES) if axis.suffix}

Axis = Option[Any, Any]
"""An option that a sweep may vary."""

Point = tuple[Value, ...]
"""One value for each of :data:`AXES`, in that order."""


def default_point() -> Point:
    """The values that the command line's defaults have."""
    return _DEFAULTS


def point_of(options: TdOptions) -> Point:
    """The options as a point."""
    return tuple(axis.plain(getattr(options, axis.name)) for axis in AXES)


def options_at(point: Point) -> TdOptions:
    """The TD options of a point.

    Raises:
        UsageError: Values that do not go together.
    """
    values = zip(AXIS_NAMES, point, _DEFAULTS, strict=True)
    return _USUAL.changed(**{name: value for name, value, usual in values if value != usual})


def read_axes(table: Mapping[str, object], where: str) -> tuple[tuple[Value, ...], ...]:
    """The values of every axis of one grid; an axis that it does not name has its default.

    Args:
        table: From a spec: axis names to a value, a list of values, or ``{ from, to, step }`` for sizes.
        where: What to call the grid in messages.

    Raises:
        UsageError: An invalid axis or value.
    """
    values: list[tuple[Value, ...]] = []
    for axis, default in zip(AXES, default_point(), strict=True):
        try:
            values.append(_values(axis, table[axis.name]) if axis.name in table else (default,))
        except UsageError as error:
            raise UsageError(f"{where}: {axis.name}: {error}") from None
    return tuple(values)


def _values(axis: Axis, given: object) -> tuple[Value, ...]:
    entries = given if isinstance(given, list) else [given]
    if not entries:
        raise UsageError("an empty list leaves nothing to do")
    values = (value for entry in entries for value in _range_or_value(axis, entry))
    return tuple(dict.fromkeys(values))


def _range_or_value(axis: Axis, entry: object) -> Iterator[Value]:
    if not isinstance(entry, dict):
        yield axis.plain(axis.read(entry))
        return
    if axis not in _RANGED or set(entry) != _RANGE_KEYS:
        names = ", ".join(one.name for one in _RANGED)
        raise UsageError(f"a range is {{ from = SIZE, to = SIZE, step = SIZE }}, and only for {names}")
    first, last, step = (_size(entry[key]) for key in ("from", "to", "step"))
    if step <= 0 or last < first:
        raise UsageError("a range goes upwards, in steps of more than 0")
    for size in range(first, last + 1, step):
        yield axis.plain(axis.read(format_size(size)))


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise UsageError(f"{shown(value)} is not a size")
    return value if isinstance(value, int) else parse_size(value)


def names_file(point: Point) -> bool:
    """Whether a value is, or holds, the path of a file: what such a TD is may change while a process lives."""
    return any(_SUFFIXES[index] in str(point[index]) for index in _SUFFIXES)


def axis_index(name: str) -> int:
    """Where an axis stands in a :data:`Point`."""
    return AXES.index(_BY_NAME[name])


def range_length(entry: Mapping[str, object]) -> int:
    """How many values a ``{ from, to, step }`` has; 1 where it is not of that form, which :func:`read_axes` refuses."""
    try:
        first, last, step = (_size(entry[key]) for key in ("from", "to", "step"))
    except (KeyError, UsageError):
        return 1
    return (last - first) // step + 1 if step > 0 and last >= first else 1


_USUAL: Final = TdOptions()
_DEFAULTS: Final = point_of(_USUAL)
