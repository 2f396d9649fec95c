"""Modelled times as text: a range and the likely value, two significant digits each, and what they rest on."""

from __future__ import annotations

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.cost import Modelled
from tdvfsh.units import human_seconds, seconds_unit, two_digits

PLACEHOLDER: Final = "placeholder"
EXTRAPOLATED: Final = "extrapolated"


class ModelledSeconds(NamedTuple):
    """A modelled time as rows of tables hold it.

    Attributes:
        likely: Seconds.
        low: Seconds.
        high: Seconds.
        placeholder: Whether it rests on a constant without a source.
        extrapolated: Whether there are more vCPUs than were observed.
    """

    likely: float = 0.0
    low: float = 0.0
    high: float = 0.0
    placeholder: bool = False
    extrapolated: bool = False

    @classmethod
    def of(cls, time: Modelled) -> ModelledSeconds:
        """A modelled time."""
        return cls(time.seconds, *time.range_seconds, time.rests_on_placeholder, time.is_extrapolated)


def range_text(time: Modelled | ModelledSeconds) -> str:
    """``19-37 s, likely 27 s``, and what it rests on where that must be said."""
    given = time if isinstance(time, ModelledSeconds) else ModelledSeconds.of(time)
    likely, span = human_seconds(given.likely), _span(given)
    text = likely if span is None else f"{span}, likely {likely}"
    return text + "".join(f", {word}" for word in _words(given))


def cell_text(time: Modelled | ModelledSeconds) -> str:
    """The same for a column of a table: ``27 s (19-37 s)``; ``-`` where it is nothing."""
    given = time if isinstance(time, ModelledSeconds) else ModelledSeconds.of(time)
    if not given.high:
        return "-"
    words = [*filter(None, (_span(given),)), *_words(given)]
    return human_seconds(given.likely) + (f" ({', '.join(words)})" if words else "")


def range_object(time: Modelled) -> dict[str, object]:
    """A modelled time for programs: seconds."""
    low, high = time.range_seconds
    return {
        "likely": time.seconds,
        "low": low,
        "high": high,
        PLACEHOLDER: time.rests_on_placeholder,
        EXTRAPOLATED: time.is_extrapolated,
    }


def _span(given: ModelledSeconds) -> str | None:
    """Low to high in the unit of high; None where all three read the same."""
    unit, size = seconds_unit(given.high)
    low, high = two_digits(given.low / size), two_digits(given.high / size)
    if low == high and human_seconds(given.likely) == f"{high} {unit}":
        return None
    if seconds_unit(given.low)[0] != unit and given.low / size < 0.1:
        return f"{human_seconds(given.low)}-{high} {unit}"
    return f"{low}-{high} {unit}"


def _words(given: ModelledSeconds) -> list[str]:
    words = ((PLACEHOLDER, given.placeholder), (EXTRAPOLATED, given.extrapolated))
    return [word for word, applies in words if applies]
