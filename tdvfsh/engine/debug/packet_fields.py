"""Fields of gdb's packets: numbers, bytes, spans and pieces of documents.

Source: GDB manual, appendix E.1 (Overview), E.2 (Packets).
"""

from __future__ import annotations

from tdvfsh.engine.debug.gdb.packets import LONGEST_PACKET
from tdvfsh.engine.debug.gdb.registers import Register
from tdvfsh.lazy_typing import Final

LARGEST_READ: Final = (LONGEST_PACKET - 32) // 2
"""Bytes of memory, or of a document, that one answer holds."""


class Malformed(Exception):
    """A packet whose arguments cannot be read."""


def number_of(text: bytes) -> int:
    """A hexadecimal number.

    Raises:
        Malformed: It is not one.
    """
    try:
        return int(text.decode("ascii"), 16)
    except ValueError:
        raise Malformed from None


def data_of(text: bytes) -> bytes:
    """The bytes that pairs of hexadecimal digits stand for.

    Raises:
        Malformed: They are not such.
    """
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise Malformed from None


def span_of(text: bytes) -> tuple[int, int]:
    """Address and size.

    Raises:
        Malformed: They are not such.
    """
    address, _, size = text.partition(b",")
    first, second = number_of(address), number_of(size)
    if first < 0 or first >> 64 or second < 0:
        raise Malformed
    return first, second


def register_text(register: Register, value: int) -> bytes:
    """A register's value as it stands in a packet."""
    return (value & (1 << register.bits) - 1).to_bytes(register.size, "little").hex().encode()


def piece(data: bytes, span: bytes) -> bytes:
    """The part of a document that was asked for."""
    start, size = span_of(span)
    part = data[start : start + min(size, LARGEST_READ)]
    return (b"m" if start + len(part) < len(data) else b"l") + part
