"""The constants of the cost model by name: what each is, its values and its source."""

from __future__ import annotations

from enum import Enum

from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final, NamedTuple

_TIMES: Final = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_VALUE: Final = pattern(r"(?ia)([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(ns|us|µs|ms|s|%)?")
_MOST: Final = {"time": 3600e9, "share": 1.0, "count": 1e6}
_SHOWN: Final = 60


class Unit(Enum):
    """What a constant counts: nanoseconds, a share from 0 to 1, or a number."""

    TIME = "time"
    SHARE = "share"
    COUNT = "count"

    @property
    def example(self) -> str:
        """A value as a user writes it."""
        return {"time": "9us", "share": "0.11", "count": "13.5"}[self.value]


class Meaning(NamedTuple):
    """What a constant is."""

    unit: Unit
    summary: str


CONSTANTS: Final = {
    "accept_4k": Meaning(Unit.TIME, "a TDCALL that accepts 4 KiB, without TD exits"),
    "accept_2m": Meaning(Unit.TIME, "a TDCALL that accepts 2 MiB, without TD exits"),
    "td_exit": Meaning(Unit.TIME, "a TD exit in which the VMM adds or unblocks a page, while one vCPU is online"),
    "td_exit_per_vcpu": Meaning(Unit.TIME, "what each further online vCPU adds to a TD exit during SMP bring-up"),
    "td_exit_most": Meaning(Unit.TIME, "the longest TD exit, however many vCPUs are online"),
    "rejected_call": Meaning(Unit.TIME, "a TDCALL that accepts nothing"),
    "map_gpa": Meaning(Unit.TIME, "a MapGPA TDVMCALL"),
    "serial_share": Meaning(Unit.SHARE, "the part of the work that more vCPUs do not shorten"),
    "smp_blocks": Meaning(Unit.COUNT, "blocks of 4 MiB that Linux accepts for each further vCPU that it brings up"),
}
"""Every constant, in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant's values: nanoseconds, a share or a number, as its unit says.

    Attributes:
        low: The lowest value that its source leaves room for.
        likely: The value that single results use.
        high: The highest.
        source: Where they come from.
        is_placeholder: Whether no source states them.
        observed_vcpus: The most vCPUs that the source observed; 0 where their number does not count.
    """

    low: float
    likely: float
    high: float
    source: str
    is_placeholder: bool = False
    observed_vcpus: int = 0


def parse_value(name: str, text: str) -> float:
    """One value of the constant ``name``: ``9us``, ``0.11`` or ``11%``, ``13.5``.

    Raises:
        UsageError: An invalid value.
    """
    unit = CONSTANTS[name].unit
    found = _VALUE.fullmatch(text.strip())
    suffix = (found[2] or "").lower() if found else ""
    fits = {Unit.TIME: suffix in _TIMES, Unit.SHARE: suffix in ("", "%"), Unit.COUNT: not suffix}[unit]
    if found is None or not fits:
        raise UsageError(f"{name}={text[:_SHOWN]}: not a {unit.value} (example: {name}={unit.example})")
    value = float(found[1]) * (_TIMES[suffix] if unit is Unit.TIME else 0.01 if suffix == "%" else 1.0)
    if value > _MOST[unit.value]:
        most = {Unit.TIME: "3600 s", Unit.SHARE: "1", Unit.COUNT: "1,000,000"}[unit]
        raise UsageError(f"{name}={text[:_SHOWN]}: give at most {most}")
    return value


def parse_time(name: str, text: str) -> float:
    """Nanoseconds that a time such as ``112s`` stands for; ``name`` is what messages call it.

    Raises:
        UsageError: An invalid time.
    """
    found = _VALUE.fullmatch(text.strip())
    suffix = (found[2] or "").lower() if found else ""
    if found is None or suffix not in _TIMES:
        raise UsageError(f"{name}={text[:_SHOWN]}: not a time (example: {name}=112s)")
    return float(found[1]) * _TIMES[suffix]


def parse_values(name: str, text: str) -> tuple[float, float, float]:
    """``LIKELY`` or ``LOW/LIKELY/HIGH`` of the constant ``name``.

    Raises:
        UsageError: An invalid value, or values that do not ascend.
    """
    values = [parse_value(name, part) for part in text.split("/")]
    if len(values) == 1:
        values *= 3
    if len(values) != 3 or not values[0] <= values[1] <= values[2]:
        raise UsageError(f"{name}={text[:_SHOWN]}: give one value, or LOW/LIKELY/HIGH, ascending")
    return values[0], values[1], values[2]


def value_text(name: str, value: float) -> str:
    """A value as a user writes it, so that :func:`parse_value` reads it again."""
    if CONSTANTS[name].unit is not Unit.TIME:
        return f"{value:.4g}"
    for suffix, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if value >= size:
            return f"{_plain(value / size)}{suffix}"
    return f"{_plain(value)}ns"


def _plain(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
