"""IN, OUT and their string forms: what an instruction asks for, and whether user space may.

Source: Intel SDM volume 2, IN, INS, OUT, OUTS; volume 1, 19.5 (I/O protection); volume 3, table 28-5 (the exit
qualification of I/O instructions).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tdvfsh.lazy_typing import Final, NamedTuple

_OPERAND_SIZE: Final = 0x66
_REPEATS: Final = frozenset((0xF2, 0xF3))
_PREFIXES: Final = frozenset((_OPERAND_SIZE, 0x67, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0xF0, *_REPEATS))
_STRINGS: Final = range(0x6C, 0x70)
_IMMEDIATES: Final = range(0xE4, 0xE8)
_REGISTERS: Final = range(0xEC, 0xF0)
_OUTPUT: Final = 2
_WIDE: Final = 1
_MAP_BASE: Final = 102
_HALF: Final = struct.Struct("<H")
_IN, _STRING, _REPEAT, _IMMEDIATE = 1 << 3, 1 << 4, 1 << 5, 1 << 6


class PortInstruction(NamedTuple):
    """An instruction that reaches an I/O port.

    Attributes:
        length: Its bytes.
        size: Bytes of the access: 1, 2 or 4.
        output: OUT, not IN.
        string: INS or OUTS.
        repeated: With a repeat prefix.
        port: Where it is a constant; None where DX holds it.
    """

    length: int
    size: int
    output: bool
    string: bool
    repeated: bool
    port: int | None

    @property
    def name(self) -> str:
        """IN, OUT, INS or OUTS."""
        return ("OUT" if self.output else "IN") + ("S" if self.string else "")

    def qualification(self, port: int) -> int:
        """The exit qualification for an access to ``port``."""
        flags = (
            (not self.output) * _IN
            | self.string * _STRING
            | self.repeated * _REPEAT
            | (self.port is not None) * _IMMEDIATE
        )
        return port << 16 | flags | self.size - 1


def decode_port_instruction(code: bytes) -> PortInstruction | None:
    """The one that ``code`` begins with, or None."""
    at = next((number for number, byte in enumerate(code) if byte not in _PREFIXES), len(code))
    prefixes = code[:at]
    if at < len(code) and code[at] & 0xF0 == 0x40:  # REX, which widens none of them
        at += 1
    if at >= len(code):
        return None
    opcode = code[at]
    if opcode in _IMMEDIATES and at + 1 < len(code):
        length, port = at + 2, code[at + 1]
    elif opcode in _REGISTERS or opcode in _STRINGS:
        length, port = at + 1, None
    else:
        return None
    size = 1 if not opcode & _WIDE else 2 if _OPERAND_SIZE in prefixes else 4
    string = opcode in _STRINGS
    repeated = string and not _REPEATS.isdisjoint(prefixes)
    return PortInstruction(
        length=length, size=size, output=bool(opcode & _OUTPUT), string=string, repeated=repeated, port=port
    )


def allowed_by_task(read: Callable[[int, int], bytes | None], task: int, limit: int, port: int, size: int) -> bool:
    """Whether the I/O permission map of a task state segment lets less privileged code reach a port.

    Args:
        read: Bytes at a linear address, or None.
        task: Base of the segment.
        limit: Its limit.
        port: The first port.
        size: How many.
    """
    base = read(task + _MAP_BASE, 2)
    if base is None:
        return False
    offset = _HALF.unpack(base)[0] + port // 8
    if offset + 1 > limit:
        return False
    bits = read(task + offset, 2)
    return bits is not None and not _HALF.unpack(bits)[0] >> port % 8 & (1 << size) - 1
