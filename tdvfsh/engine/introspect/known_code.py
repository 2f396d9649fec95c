"""What reports and the journal ask about guest code: names for addresses."""

from __future__ import annotations

from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Protocol


class KnownCode(Protocol):
    """Names for guest code by address."""

    def name(self, address: int) -> str:
        """The caller's name in the journal for code at ``address``: an image's, or what stands for all other code."""
        ...

    def place(self, address: int) -> str:
        """``address`` for a report: image, section and offset, a function, or the bare number."""
        ...

    def call_stack(self, cpu: Cpu, ram: GuestRam) -> tuple[str, ...]:
        """Places that the stack of the vCPU that runs was called from, the innermost first."""
        ...

    def phase(self, cpu: Cpu) -> str:
        """The image, or the part of the kernel, that executes an instruction of the vCPU that runs."""
        ...
