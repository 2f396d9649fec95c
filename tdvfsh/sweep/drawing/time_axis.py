"""The logarithmic axis of modelled time: an option often costs a hundredth of another."""

from __future__ import annotations

from collections.abc import Iterable
from math import log10

from tdvfsh.lazy_typing import Final
from tdvfsh.report.modelled_text import ModelledSeconds
from tdvfsh.sweep.drawing.ticks import decade_steps

_MOST_STEPS: Final = 8
_ROOM_OF_ZERO: Final = 0.08


class TimeAxis:
    """From seconds to a share of the plot's height; what takes no time lies at its foot, below the lowest decade.

    Args:
        times: What is plotted.

    Attributes:
        steps: The seconds that are labelled.
    """

    def __init__(self, times: Iterable[ModelledSeconds]) -> None:
        values = [value for time in times for value in (time.low, time.likely, time.high)]
        some = [value for value in values if value > 0]
        self._foot = _ROOM_OF_ZERO if len(some) < len(values) else 0.0
        marks = decade_steps(min(some), max(some), _MOST_STEPS) if some else [0.1, 1.0]
        self._low, self._span = log10(marks[0]), log10(marks[-1] / marks[0])
        self.steps = [0.0, *marks] if self._foot else marks

    def share(self, seconds: float) -> float:
        """0 is the foot, 1 the top."""
        if seconds <= 0:
            return 0.0
        return self._foot + (1 - self._foot) * (log10(seconds) - self._low) / self._span
