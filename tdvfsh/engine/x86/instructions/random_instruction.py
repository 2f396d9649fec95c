"""RDRAND, from the machine's own sequence: the same in every run.

The emulated processor has no such instruction, so that executing it is an exception and its result is ours.

Source: Intel SDM volume 2, RDRAND.
"""

from __future__ import annotations

import hashlib

from tdvfsh.lazy_typing import Final, NamedTuple

_OPERAND_SIZE: Final = 0x66
_PREFIXES: Final = frozenset((_OPERAND_SIZE, 0x67, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65))
_OPCODE: Final = b"\x0f\xc7"
_REGISTER_FORM: Final = 0xF0  # mod 3, /6
_FORM_MASK: Final = 0xF8
_WIDE: Final = 8
_EXTENDED: Final = 1


class RandomInstruction(NamedTuple):
    """A decoded RDRAND: its length, the register's number and bits."""

    length: int
    register: int
    bits: int


def decode_rdrand(code: bytes) -> RandomInstruction | None:
    """The RDRAND that ``code`` begins with, or None; LOCK and repeat prefixes make it something else."""
    at = next((number for number, byte in enumerate(code) if byte not in _PREFIXES), 0)
    bits, extended = 16 if _OPERAND_SIZE in code[:at] else 32, 0
    if len(code) > at and code[at] & 0xF0 == 0x40:
        bits = 64 if code[at] & _WIDE else bits
        extended = 8 * (code[at] & _EXTENDED)
        at += 1
    if code[at : at + 2] != _OPCODE or len(code) < at + 3 or code[at + 2] & _FORM_MASK != _REGISTER_FORM:
        return None
    return RandomInstruction(at + 3, extended | code[at + 2] & 7, bits)


class RandomSequence:
    """A sequence of numbers that cannot be guessed from each other and are the same in every run."""

    def __init__(self) -> None:
        self._count = 0

    def next(self, bits: int) -> int:
        """The next number."""
        self._count += 1
        digest = hashlib.sha256(b"tdvfsh" + self._count.to_bytes(8, "little")).digest()
        return int.from_bytes(digest[: bits // 8], "little")
