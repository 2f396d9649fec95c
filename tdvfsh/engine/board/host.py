"""What a board asks of the software that it is started for."""

from __future__ import annotations

from datetime import datetime

from tdvfsh.engine.introspect.known_code import KnownCode
from tdvfsh.lazy_typing import Protocol


class BoardHost(Protocol):
    """The host of a board.

    A host either stands in for firmware, whose interrupt table it puts up and whose #VE handler the board plays while
    that table is in place; or it starts real firmware, and has no interrupt table of its own.
    """

    @property
    def code(self) -> KnownCode:
        """Names for guest code, in the journal of accepts and in reports."""
        ...

    @property
    def interrupt_table(self) -> int | None:
        """Address of the interrupt table that the host stands in for; None where there is none."""
        ...

    def memory_name(self, address: int) -> str:
        """What memory at an address is to firmware: its memory type; empty where the host does not know."""
        ...

    def date(self) -> datetime:
        """The date and time that the CMOS clock shows."""
        ...

    def halted(self) -> None:
        """HLT of a program while :attr:`interrupt_table` is in place: time passes until something wakes it."""
        ...
