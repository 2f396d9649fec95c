"""The record of a place where the guest had to be stopped."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from tdvfsh.lazy_dataclass import dataclass


def call_stack_lines(places: Iterable[str]) -> list[str]:
    """Lines of a report with the places that were called from; code that calls itself has one line with how often."""
    lines: list[str] = []
    for place, group in groupby(places):
        times = sum(1 for _ in group)
        lines.append(f"{'' if lines else 'called by':<10}{place}{f', {times} times' if times > 1 else ''}")
    return lines


@dataclass(frozen=True, slots=True)
class Violation:
    """A stop and its circumstances.

    Attributes:
        what: One sentence fragment: what happened.
        address: Guest physical address that was touched; the instruction's for an exception.
        access: ``read``, ``write``, ``fetch``, or ``exception``.
        page_state: SEPT state of the page, or what is there instead.
        instruction_pointer: RIP.
        instruction: Disassembly.
        place: Image, section and offset of the instruction.
        call_stack: Places that the stack says were called from, the innermost first.
        service: The service that the access was made in, if it was firmware's own.
        vcpu: Number of the vCPU, where others run too.
    """

    what: str
    address: int
    access: str
    page_state: str
    instruction_pointer: int
    instruction: str
    place: str
    call_stack: tuple[str, ...]
    service: str = ""
    vcpu: int | None = None

    @property
    def summary(self) -> str:
        """One line."""
        inside = f" in {self.service}" if self.service else ""
        return f"{self.what}{inside} at {self.place}: {self.instruction}"

    def lines(self) -> list[str]:
        """The report; its first line says it all."""
        lines = [
            f"stopped: {self.what}",
            f"address   {self.address:#x} ({self.access}), page {self.page_state}",
            f"at        {self.place}: {self.instruction}",
        ]
        if self.vcpu is not None:
            lines.append(f"vCPU      {self.vcpu}")
        if self.service:
            lines.append(f"service   {self.service}")
        return lines + call_stack_lines(self.call_stack)
