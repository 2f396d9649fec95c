"""Processor and memory of one TD, and how much of the memory the processor sees."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.tdx.msrs import permission_map
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.guest_clock import GuestClock
from tdvfsh.engine.x86.instructions import intercepts
from tdvfsh.engine.x86.live_contents import LiveContents
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Final
from tdvfsh.td.trust_domain import TrustDomain

SMALL_WINDOW: Final = 64
"""Bytes up to which what is written from outside is taken for data."""
_CONTROL_BLOCK: Final = (1 << 40) - intercepts.CONTROL_SIZE  # the emulator's last physical addresses


class Hardware:
    """The one emulated processor over the RAM of a TD.

    Args:
        td: The trust domain; its contents become live memory, and what it has accepted is seen by the processor.
        limit: Asked by the processor's timer whether a long run must end; None for never.

    Attributes:
        td: The trust domain.
        clock: Virtual time.
        ram: The memory.
        cpu: The processor, as after its reset with intercepts on.
        accepted: Bytes of accepted memory when the processor was last shown what is; negative before that.
    """

    def __init__(self, td: TrustDomain, limit: Callable[[], bool] | None = None) -> None:
        self.td = td
        self.clock = GuestClock(td.clock)
        self.ram = GuestRam(td)
        self.cpu = Cpu(self.ram, self.clock.read, limit)
        codes = (intercepts.CPUID, intercepts.PAUSE, intercepts.HLT, intercepts.MSR)
        intercepts.set_intercepts(self.cpu.uc, self.cpu.state, _CONTROL_BLOCK, codes, permission_map())
        self.ram.refresh()
        td.contents = LiveContents(self.ram, td.contents, self.cpu.mapped.forget_code)
        self.accepted = -1
        self._sept, self._shared, self._changes = td.sept, td.shared, (-1, -1)
        self.map_accepted()

    def close(self) -> None:
        """End the processor's timer; memory stays as it is."""
        self.cpu.close()

    def map_accepted(self) -> bool:
        """Let the processor see what was accepted; returns whether there was anything new."""
        sept, shared = self.td.sept, self.td.shared
        if sept is self._sept and shared is self._shared and (sept.changes, shared.changes) == self._changes:
            return False
        is_private = shared is self._shared and shared.changes == self._changes[1]
        self._sept, self._shared, self._changes = sept, shared, (sept.changes, shared.changes)
        fresh = self.ram.take_unshown() if is_private else None
        if fresh:
            self.accepted += sum(end - start for start, end in fresh)
            self.cpu.mapped.grow(fresh)
            return True
        accepted = self.td.accepted_bytes - self.td.shared_bytes
        changed = accepted != self.accepted
        if changed:
            self.accepted = accepted
            self.cpu.mapped.map_accepted()
        return changed

    def converted(self) -> None:
        """Memory became shared or private: the processor sees what is accepted now, and nothing else."""
        self.accepted = self.td.accepted_bytes - self.td.shared_bytes
        self.cpu.mapped.map_accepted()

    def wrote(self, address: int, size: int) -> None:
        """Memory that may have held code was written from outside the guest."""
        if size > SMALL_WINDOW:
            self.cpu.mapped.forget_code(address, address + size)
