"""A modelled time: low, likely and high, and what it rests on."""

from __future__ import annotations

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

_ALIKE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Modelled:
    """A time in modelled nanoseconds. Times add up, and an earlier sum can be taken from a later one.

    Attributes:
        low: With every constant at its low value.
        likely: With every constant at its likely value; the virtual clock advances by it.
        high: With every constant at its high value.
        placeholder: The part of ``likely`` that constants without a source make.
        is_extrapolated: Whether there are more vCPUs than a source of one of the constants observed.
    """

    low: int = 0
    likely: int = 0
    high: int = 0
    placeholder: int = 0
    is_extrapolated: bool = False

    def __add__(self, other: Modelled) -> Modelled:
        return Modelled(
            self.low + other.low,
            self.likely + other.likely,
            self.high + other.high,
            self.placeholder + other.placeholder,
            self.is_extrapolated or other.is_extrapolated,
        )

    def __sub__(self, other: Modelled) -> Modelled:
        """What is left; ``is_extrapolated`` stays as it is here, unless nothing is left."""
        likely = max(0, self.likely - other.likely)
        return Modelled(
            max(0, self.low - other.low),
            likely,
            max(0, self.high - other.high),
            max(0, self.placeholder - other.placeholder),
            self.is_extrapolated and likely > 0,
        )

    @property
    def seconds(self) -> float:
        """The likely value in seconds."""
        return self.likely / 1e9

    @property
    def range_seconds(self) -> tuple[float, float]:
        """The low and the high value in seconds."""
        return self.low / 1e9, self.high / 1e9

    @property
    def rests_on_placeholder(self) -> bool:
        """Whether constants without a source make more than a twentieth of it."""
        return self.placeholder > self.likely * _ALIKE


NO_TIME: Final = Modelled()
