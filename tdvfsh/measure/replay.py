"""Replay of an event log: what the RTMRs hold after it, and where it leaves what was really extended.

Source: Intel TDX module 1.5 ABI, TDG.MR.RTMR.EXTEND; UEFI 2.10 38.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tdvfsh.errors import FormatError
from tdvfsh.formats.tcg.event_log import TcgEvent, TcgEventLog
from tdvfsh.measure.mrtd import DIGEST_SIZE

RTMRS: Final = 4
Extension = tuple[int, bytes]
"""Number of an RTMR and the digest that it was extended with."""


def extend(register: bytes, digest: bytes) -> bytes:
    """The register after an extension: SHA-384 of register and digest."""
    return hashlib.sha384(register + digest).digest()


def after_extensions(extensions: Iterable[Extension]) -> tuple[bytes, ...]:
    """RTMR0 to RTMR3 after extensions, from zeros."""
    registers = [bytes(DIGEST_SIZE)] * RTMRS
    for number, digest in extensions:
        registers[number] = extend(registers[number], digest)
    return tuple(registers)


def extensions_of(log: TcgEventLog) -> list[tuple[TcgEvent, Extension]]:
    """The events of a TD's log that extend an RTMR, with what they extend.

    Raises:
        FormatError: An event has no SHA-384 digest: it is not a TD's log.
    """
    found = []
    for event in log.events:
        if event.rtmr is None:
            continue
        if event.sha384 is None:
            why = f"event {event.number} has no SHA-384 digest, so that no RTMR can be extended with it"
            raise FormatError(log.path, why, event.offset)
        found.append((event, (event.rtmr, event.sha384)))
    return found


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
