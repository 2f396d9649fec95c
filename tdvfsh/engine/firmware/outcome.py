"""Outcome of a run of real firmware."""

from __future__ import annotations

from tdvfsh.engine.runs.os_run import INPUT_ENDED, MATCHED, POWER_OFF, RESET
from tdvfsh.engine.violation import Violation
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

WAITS: Final = "waits for input"
_DEATHS: Final = ("fatal error", "violation", "dead")


@dataclass(frozen=True, slots=True)
class FirmwareOutcome:
    """Outcome of a run of firmware.

    Attributes:
        ending: As :class:`tdvfsh.engine.runs.os_run.OsRun` has it.
        why: One sentence.
        system_ran: Whether an operating system ran in the end.
        violation: Where the guest was stopped, if it was.
        refused: Whether a kernel was to be booted and never ran.
    """

    ending: str
    why: str
    system_ran: bool
    violation: Violation | None = None
    refused: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the guest switched off, reset, reached what it was to reach, or had all input there was."""
        return self.ending == MATCHED or (self.ending in (POWER_OFF, RESET, INPUT_ENDED) and not self.refused)

    @property
    def died(self) -> bool:
        """Whether the guest cannot continue: it was stopped, or nothing will wake it."""
        return self.ending in _DEATHS
