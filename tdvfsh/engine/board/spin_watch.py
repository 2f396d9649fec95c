"""vCPUs that wait in a loop without PAUSE, as firmware's application processors do at their mailbox.

While one of them runs, its blocks of code are counted: one that runs very often between two stops is such a loop, or
work that can continue later. An operating system's code, in the upper half of the address space, says PAUSE where it
waits; the boot processor does so in firmware, too.

Source: edk2 OvmfPkg/IntelTdx/TdxHelperLib/X64/SecTdxHelper.nasm and OvmfPkg/TdxDxe/X64/ApRunLoop.nasm, whose loops
are meant.
"""

from __future__ import annotations

from collections import Counter

from tdvfsh.engine.board.vcpus import Vcpu
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.stop import StopKind
from tdvfsh.lazy_typing import Final

_TOO_OFTEN: Final = 200
_UPPER_HALF: Final = 1 << 63


class SpinWatch:
    """Watch over all vCPUs but the first until an operating system has them.

    Args:
        cpu: The processor.

    Attributes:
        in_system: Numbers of the vCPUs that an operating system has.
    """

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._seen: Counter[int] = Counter()
        self.in_system: set[int] = set()
        self._watched: Vcpu | None = None
        self._hook: object = None

    def resume(self, vcpu: Vcpu) -> None:
        """A vCPU is about to run on after a stop."""
        self._seen.clear()
        watch = vcpu.number != 0 and vcpu.number not in self.in_system
        if watch and self._hook is None:
            self._hook = self._cpu.watch_blocks(self._spins, StopKind.SPIN)
        elif not watch and self._hook is not None:
            self._cpu.unwatch_blocks(self._hook)
            self._hook = None
        self._watched = vcpu if watch else None

    def entered_system(self, address: int) -> bool:
        """Whether a vCPU that was stopped at ``address`` runs an operating system, which is not watched any more."""
        if not address & _UPPER_HALF:
            return False
        if self._watched is not None:
            self.in_system.add(self._watched.number)
        return True

    def _spins(self, address: int) -> bool:
        self._seen[address] += 1
        return bool(address & _UPPER_HALF) or self._seen[address] > _TOO_OFTEN
