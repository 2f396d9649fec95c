"""Every TDG.MR.RTMR.EXTEND of a run of real firmware: which register, by whom, when."""

from __future__ import annotations

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.limit import check_count
from tdvfsh.engine.firmware.code import FirmwareCode
from tdvfsh.formats.tcg.registers import Extension
from tdvfsh.lazy_typing import NamedTuple


class RtmrExtend(NamedTuple):
    """One extension.

    Attributes:
        rtmr: Number of the register.
        digest: 48 bytes.
        vcpu: The vCPU that called.
        caller: The module that executed TDCALL.
        now_ns: Virtual time.
    """

    rtmr: int
    digest: bytes
    vcpu: int
    caller: str
    now_ns: int

    @property
    def extension(self) -> Extension:
        """Register and digest."""
        return self.rtmr, self.digest


class RtmrExtends:
    """The extensions of a run, in order.

    Args:
        board: Where the firmware runs.
        code: Its modules.

    Attributes:
        made: The extensions so far.
    """

    def __init__(self, board: Board, code: FirmwareCode) -> None:
        self._board = board
        self._code = code
        self.made: list[RtmrExtend] = []
        board.module.extended = self._extended

    def _extended(self, rtmr: int, digest: bytes) -> None:
        check_count(len(self.made), "extensions of RTMRs")
        board = self._board
        caller = self._code.phase(board.cpu)
        self.made.append(RtmrExtend(rtmr, digest, board.vcpus.current.number, caller, board.clock.now_ns))
