"""Replay of an event log against what was really extended."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.formats.tcg.event_log import TcgEvent, TcgEventLog
from tdvfsh.formats.tcg.registers import RTMRS, Extension, after_extensions, extensions_of
from tdvfsh.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Replay:
    """A log against what was extended.

    Attributes:
        registers: RTMR0 to RTMR3 by the log.
        unfit: The first event that was not extended as the log has it; None where there is none.
        why: What does not fit, one sentence fragment; empty where the log fits.
    """

    registers: tuple[bytes, ...]
    unfit: TcgEvent | None = None
    why: str = ""

    @property
    def fits(self) -> bool:
        """Whether the log tells all that was extended."""
        return not self.why


def replay(log: TcgEventLog, extended: Sequence[Extension]) -> Replay:
    """Hold a log against the extensions that a TD really made.

    Args:
        log: The log.
        extended: Every extension in order. Each register is looked at by itself: the order between two registers does
            not change them.
    """
    events = extensions_of(log)
    registers = after_extensions(extension for _, extension in events)
    real: list[list[bytes]] = [[] for _ in range(RTMRS)]
    for number, digest in extended:
        real[number].append(digest)
    at = [0] * RTMRS
    for event, (number, digest) in events:
        place, at[number] = at[number], at[number] + 1
        if place >= len(real[number]):
            return Replay(registers, event, f"event {event.number} was never extended to RTMR{number}")
        if real[number][place] != digest:
            why = f"event {event.number} has a digest that is not what RTMR{number} was extended with"
            return Replay(registers, event, why)
    for number in range(RTMRS):
        if at[number] < len(real[number]):
            missing = len(real[number]) - at[number]
            return Replay(registers, None, f"RTMR{number} was extended {missing} times more than the log says")
    return Replay(registers)
