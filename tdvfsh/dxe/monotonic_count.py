"""The monotonic count of the platform.

Source: UEFI 2.10 7.5 and 8.5; edk2 MdeModulePkg/Universal/MonotonicCounterRuntimeDxe/MonotonicCounter.c.
"""

from __future__ import annotations

from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final

_HALF: Final = 32
_TOGGLES: Final = 1 << 31
_COUNTS: Final = (1 << 64) - 1


@dataclass(slots=True)
class MonotonicCounter:
    """A count whose upper half is kept and grows with every start of the platform, the lower half with every call.

    Attributes:
        count: What GetNextMonotonicCount returns next; the first start of a platform begins at 1 << 32.
    """

    count: int = 1 << _HALF

    def copy(self) -> MonotonicCounter:
        """An independent counter at the same count."""
        return replace(self)

    def restart(self) -> MonotonicCounter:
        """The counter after the next start of the platform."""
        twin = self.copy()
        twin.get_next_high_monotonic_count()
        return twin

    def get_next_monotonic_count(self) -> int:
        """GetNextMonotonicCount; where bit 31 changes, edk2 raises the upper half and begins the lower one anew."""
        count = self.count
        self.count = (count + 1) & _COUNTS
        if (self.count ^ count) & _TOGGLES:
            self.get_next_high_monotonic_count()
        return count

    def get_next_high_monotonic_count(self) -> int:
        """GetNextHighMonotonicCount: the upper half, one more than before."""
        high = ((self.count >> _HALF) + 1) & (_COUNTS >> _HALF)
        self.count = high << _HALF
        return high
