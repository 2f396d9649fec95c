"""The axes of a sweep: which TD options vary, and how a value is written in a spec and in results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tdvfsh.accept.boot_time import BootAccept, parse_boot_accept
from tdvfsh.errors import UsageError
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import format_size, parse_size

Value = int | str | bool
"""An axis value as results hold it: sizes are bytes, policies and names are words."""


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise UsageError(f"{value!r} is not a size")
    return value if isinstance(value, int) else parse_size(value)


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{value!r} is not a number")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{value!r} is not a word")
    return value


def _accept(value: object) -> str:
    """A policy in one spelling: ``0.5G`` and ``512M`` are the same."""
    policy = parse_boot_accept(format_size(_size(value)) if isinstance(value, int) else _word(value))
    if policy.size is None:
        return policy.name
    size = format_size(policy.size)
    return f"{policy.name.partition(':')[0]}:{size}" if policy.add_images else size


@dataclass(frozen=True, slots=True)
class Axis:
    """One option that a sweep may vary.

    Attributes:
        name: As specs and results call it; the option's field in :class:`TdOptions`.
        read: A value of a spec to the one spelling that results hold.
        is_size: Whether values are sizes, so that ``{ from, to, step }`` makes sense.
    """

    name: str
    read: Callable[[object], Value]
    is_size: bool = False


AXES: Final = (
    Axis("memory", _size, is_size=True),
    Axis("vcpus", _number),
    Axis("gpaw", _number),
    Axis("accept", _accept, is_size=True),
    Axis("on_demand", _word),
    Axis("loader", _word),
    Axis("profile", _word),
    Axis("firmware_model", _word),
    Axis("host_page_size", _size),
    Axis("accept_at_exit", _word),
    Axis("kaslr_seed", _number),
    Axis("max_ram_below_4g", _size),
)
AXIS_NAMES: Final = tuple(axis.name for axis in AXES)
_BY_NAME: Final = {axis.name: axis for axis in AXES}
_RANGE_KEYS: Final = {"from", "to", "step"}

Point = tuple[Value, ...]
"""One value for each of :data:`AXES`, in that order."""


def default_point() -> Point:
    """The values that the command line's defaults have."""
    return point_of(TdOptions())


def point_of(options: TdOptions) -> Point:
    """The options as a point."""
    values = ((axis, getattr(options, axis.name)) for axis in AXES)
    return tuple(axis.read(value.name if isinstance(value, BootAccept) else value) for axis, value in values)


def options_at(point: Point) -> TdOptions:
    """The TD options of a point.

    Raises:
        UsageError: A value that cannot be; the message names it and what could.
    """
    values: dict[str, object] = dict(zip(AXIS_NAMES, point, strict=True))
    values["accept"] = parse_boot_accept(str(values["accept"]))
    return replace(TdOptions(), **values)  # type: ignore[arg-type]  # the axes' names are the fields'


def read_axes(table: Mapping[str, object], where: str) -> tuple[tuple[Value, ...], ...]:
    """The values of every axis of one grid; an axis that it does not name has its default.

    Args:
        table: From a spec: axis names to a value, a list of values, or ``{ from, to, step }`` for sizes.
        where: What to call the grid in messages.

    Raises:
        UsageError: An axis or a value that cannot be.
    """
    defaults = default_point()
    values: list[tuple[Value, ...]] = []
    for axis, default in zip(AXES, defaults, strict=True):
        try:
            given = _values(axis, table[axis.name]) if axis.name in table else (default,)
        except UsageError as error:
            raise UsageError(f"{where}: {axis.name}: {error}") from None
        values.append(given)
    for position, given in enumerate(values):  # each alone, so that the message is about one value
        for value in given:
            try:
                options_at((*defaults[:position], value, *defaults[position + 1 :]))
            except UsageError as error:
                if AXES[position].name != "accept_at_exit":  # which depends on the profile
                    raise UsageError(f"{where}: {error}") from None
    return tuple(values)


def _values(axis: Axis, given: object) -> tuple[Value, ...]:
    entries = given if isinstance(given, list) else [given]
    if not entries:
        raise UsageError("an empty list leaves nothing to do")
    values = (value for entry in entries for value in _range_or_value(axis, entry))
    return tuple(dict.fromkeys(values))


def _range_or_value(axis: Axis, entry: object) -> Iterator[Value]:
    if not isinstance(entry, dict):
        yield axis.read(entry)
        return
    if not axis.is_size or set(entry) != _RANGE_KEYS:
        raise UsageError("a range is { from = SIZE, to = SIZE, step = SIZE }, and only for memory and accept")
    first, last, step = (_size(entry[key]) for key in ("from", "to", "step"))
    if step <= 0 or last < first:
        raise UsageError("a range goes upwards, in steps of more than 0")
    for size in range(first, last + 1, step):
        yield axis.read(format_size(size))


def axis_index(name: str) -> int:
    """Where an axis stands in a :data:`Point`."""
    return AXES.index(_BY_NAME[name])
