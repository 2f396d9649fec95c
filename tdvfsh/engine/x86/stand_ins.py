"""Functions of the guest's whose place the host takes, in calls that it chooses."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.stop import StopKind
from tdvfsh.lazy_typing import NamedTuple


class StandIn(NamedTuple):
    """A function that has a stand-in: its linear address, and the processor's stop there."""

    function: int
    stop: object


class StandIns:
    """What the host does in place of functions of the guest's.

    Args:
        cpu: The processor, which stops at their first instructions.

    Attributes:
        cpu: That processor.
    """

    def __init__(self, cpu: Cpu) -> None:
        self.cpu = cpu
        self._work: dict[int, Callable[[], int]] = {}

    def __len__(self) -> int:
        return len(self._work)

    def add(self, function: int, wanted: Callable[[], bool], serve: Callable[[], int]) -> StandIn:
        """Take the place of a function.

        Args:
            function: Linear address of the function; it may not have a stand-in yet.
            wanted: Called at its first instruction: whether the host takes this call.
            serve: Does the work of such a call; returns the address to continue at.

        Returns:
            What :meth:`remove` takes.
        """
        self._work[function] = serve
        return StandIn(function, self.cpu.stop_at(function, wanted, StopKind.CALL))

    def remove(self, stand_in: StandIn) -> None:
        """End a stand-in. Only while no guest code runs."""
        del self._work[stand_in.function]
        self.cpu.no_stop_at(stand_in.stop)

    def serve(self, function: int) -> int:
        """The processor has stopped at a function: do its work; returns the address to continue at."""
        return self._work[function]()
