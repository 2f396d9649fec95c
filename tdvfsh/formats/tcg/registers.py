"""The RTMRs that a TD's event log leads to.

Source: Intel TDX module 1.5 ABI, TDG.MR.RTMR.EXTEND; UEFI 2.10 38.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tdvfsh.errors import FormatError
from tdvfsh.formats.tcg.event_log import TcgEvent, TcgEventLog
from tdvfsh.lazy_typing import Final

RTMRS: Final = 4
DIGEST_SIZE: Final = 48
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
