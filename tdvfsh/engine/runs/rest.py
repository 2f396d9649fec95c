"""Where a run ends whose machine is to be saved: between two instructions, or where all vCPUs wait for input."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.limit import GivenUp, RunLimit
from tdvfsh.engine.console.serial_input import InputEnded
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.runs.consoles import Consoles
from tdvfsh.engine.x86.stop import Stop


class RestingPlace:
    """The end of one run, which a console line, the end of its limit or of its input asks for.

    Args:
        board: The machine.
        consoles: Its consoles.
        limit: The run's limit, None for none.
        ended: Called where the machine stands where it can go on, before the run ends; None for nothing.

    Attributes:
        reached: Whether it stands there.
        waits: Whether that is where all vCPUs wait for input, within a stop.
    """

    def __init__(
        self,
        board: Board,
        consoles: Consoles,
        limit: RunLimit | None,
        ended: Callable[[EngineError], None] | None = None,
    ) -> None:
        self._board = board
        self._consoles = consoles
        self._limit = limit
        self._ended = ended
        self._begun = False
        self.reached = self.waits = False

    def begin(self) -> None:
        """From now on the machine can be saved: what wants to end the run waits for the next rest."""
        self._begun = self._consoles.keep = True
        if self._limit is not None:
            self._limit.be_patient()

    def after(self, stop: Stop) -> int:
        """As :meth:`Board.after`.

        Raises:
            EngineError: The run has ended.
        """
        try:
            address = self._board.after(stop)
        except (InputEnded, GivenUp) as error:
            if self._begun:
                self.waits = True
                self._reach(error)
            raise
        if self._begun and self._board.at_rest:
            matched, limit = self._consoles.matched, self._limit
            if matched is not None:
                self._reach(matched)
                raise matched
            if limit is not None and limit.due:
                try:
                    limit.give_up()
                except GivenUp as error:
                    self._reach(error)
                    raise
        return address

    def _reach(self, error: EngineError) -> None:
        self.reached = True
        if self._ended is not None:
            self._ended(error)
