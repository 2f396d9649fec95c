"""Exceptions that the processor raises in guest code: what the machine answers, and what the guest gets.

Source: Intel SDM volume 3, chapter 6.
"""

from __future__ import annotations

from tdvfsh.engine.board.instructions import Instructions
from tdvfsh.engine.board.memory_faults import MemoryFaults
from tdvfsh.engine.board.preemption import Preemption
from tdvfsh.engine.board.stopped_guest import GENERAL_PROTECTION, RunningGuest
from tdvfsh.engine.x86.delivery import may_call
from tdvfsh.engine.x86.exceptions import takes_error_code
from tdvfsh.lazy_typing import Final

DEBUG: Final = 1
_INT3: Final = b"\xcc"
_BREAKPOINT: Final = 3
_INVALID_OPCODE: Final = 6
_PAGE_FAULT: Final = 14
_FROM_TABLE: Final = 2  # an error code names a gate of the interrupt descriptor table


class GuestExceptions:
    """What becomes of exceptions.

    Args:
        guest: The guest in which they are raised.
        instructions: Answers invalid opcodes that are instructions of TDX.
        faults: Answers page faults that are accesses to shared memory.
        preemption: Is told where the guest's own handler begins.
    """

    def __init__(
        self, guest: RunningGuest, instructions: Instructions, faults: MemoryFaults, preemption: Preemption
    ) -> None:
        self._guest = guest
        self._instructions = instructions
        self._faults = faults
        self._preemption = preemption

    def raised(self, number: int) -> None:
        """Answer an exception.

        Args:
            number: Its vector.

        Raises:
            EngineError: It ends the run.
        """
        guest, state = self._guest, self._guest.state
        if number == _INVALID_OPCODE and self._instructions.unknown():
            return
        interrupts = guest.vcpus.current.interrupts
        if number == DEBUG and interrupts.stepping:
            interrupts.stepped()
        elif number == _PAGE_FAULT and (self._faults.shared_access() or self._faults.protected()):
            pass
        elif state.software_interrupt and not may_call(state, guest.cpu.memory, number):
            self._refuse_call(number)
        else:
            self._preemption.leaving()
            guest.raise_exception(number, state.error_code if takes_error_code(number) else None)

    def _refuse_call(self, number: int) -> None:
        """INT n that the gate does not allow: a fault, before the instruction."""
        guest, state = self._guest, self._guest.state
        is_int3 = number == _BREAKPOINT and guest.cpu.memory.read(state.instruction_pointer - 1, 1) == _INT3
        state.instruction_pointer -= 1 if is_int3 else 2
        guest.raise_exception(GENERAL_PROTECTION, number << 3 | _FROM_TABLE)
