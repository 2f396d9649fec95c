"""What real firmware and its operating system had the TDX module and the VMM do to memory, in order."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.limit import check_count
from tdvfsh.engine.introspect.known_code import KnownCode
from tdvfsh.lazy_typing import Any, NamedTuple
from tdvfsh.td.accept import AcceptCall


class MapGpaCall(NamedTuple):
    """One MapGPA: address and size, whether it makes the range shared, the VMM's status, the code that called."""

    address: int
    size: int
    shared: bool
    status: int
    caller: str


class MemoryCalls:
    """The calls that a board's guest made.

    Args:
        board: The board; it tells every call from here on.
        code: Names of the code that calls.

    Attributes:
        accepts: Every TDG.MEM.PAGE.ACCEPT.
        conversions: Every MapGPA.
    """

    def __init__(self, board: Board, code: KnownCode) -> None:
        self._board = board
        self._code = code
        self.accepts: list[AcceptCall] = []
        self.conversions: list[MapGpaCall] = []
        board.page_accepts.called = self._accepted
        board.vmm.mapped = self._converted

    def resume(self, accepts: Sequence[AcceptCall], conversions: Sequence[Sequence[Any]]) -> None:
        """Continue after these calls."""
        self.accepts[:] = accepts
        self.conversions[:] = [MapGpaCall(*call) for call in conversions]

    def _accepted(self, rcx: int, status: int) -> None:
        check_count(len(self.accepts), "TDG.MEM.PAGE.ACCEPT calls")
        self.accepts.append(AcceptCall(self._board.vcpus.current.number, rcx & ~0xFFF, rcx & 7, status))

    def _converted(self, gpa: int, size: int, status: int) -> None:
        check_count(len(self.conversions), "MapGPA calls")
        mask = self._board.td.shared_mask
        caller = self._code.phase(self._board.cpu)
        self.conversions.append(MapGpaCall(gpa & ~mask, size, bool(gpa & mask), status, caller))
