"""What a board asks of the host while real firmware runs on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tdvfsh.dxe.time import START_SECONDS
from tdvfsh.engine.introspect.known_code import KnownCode
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.td.clock import VirtualClock


@dataclass(frozen=True, slots=True)
class FirmwareHost:
    """The firmware brings everything itself: the board asks for names and the date only.

    Attributes:
        code: Names of its code.
        clock: Virtual time.
        interrupt_table: None: it is the firmware's own.
    """

    code: KnownCode
    clock: VirtualClock
    interrupt_table: int | None = None

    def memory_name(self, address: int) -> str:
        """The host does not know."""
        return ""

    def date(self) -> datetime:
        """The CMOS clock's date."""
        return datetime.fromtimestamp(START_SECONDS, UTC) + timedelta(microseconds=self.clock.now_ns // 1000)

    def halted(self) -> None:
        """Never called."""
        raise AssertionError("firmware that runs from its reset vector has its own interrupt table")
