"""What a platform keeps over a reset: non-volatile variables, date and zone, wakeup time, monotonic count.

Source: UEFI 2.10 8.1 to 8.3 and 8.5.2.
"""

from __future__ import annotations

from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.monotonic_count import MonotonicCounter
from tdvfsh.dxe.time import RealTimeClock
from tdvfsh.dxe.variables import VariableStore
from tdvfsh.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class NonvolatileState:
    """The state with which the next start of a platform begins.

    Attributes:
        variables: The variables that its firmware finds, and its own.
        clock: The clock; its date is that of virtual time 0.
        counter: The count.
    """

    variables: VariableStore
    clock: RealTimeClock
    counter: MonotonicCounter

    def put_into(self, core: DxeCore) -> None:
        """Let a core that has just started have this state."""
        core.variables = self.variables.copy()
        core.real_time_clock = self.clock.copy()
        core.monotonic_counter = self.counter.copy()


def next_start(core: DxeCore, now_ns: int) -> NonvolatileState:
    """The state that a platform leaves to its next start at virtual time ``now_ns``."""
    return NonvolatileState(
        core.variables.restart(), core.real_time_clock.restart(now_ns), core.monotonic_counter.restart()
    )
