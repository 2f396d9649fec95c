"""As much ACPI Machine Language as a small DSDT is made of: every function returns the bytes of one object.

Source: ACPI 6.5 chapter 20 (ACPI Machine Language), 6.4.2 and 6.4.3 (resource descriptors), 19.3.4 (EISA identifiers).
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_typing import Final

_ZERO, _ONE, _BYTE, _WORD, _DWORD, _QWORD = 0x00, 0x01, 0x0A, 0x0B, 0x0C, 0x0E
_NAME, _SCOPE, _BUFFER, _PACKAGE, _EXTENDED, _DEVICE = 0x08, 0x10, 0x11, 0x12, 0x5B, 0x82
_STRING: Final = 0x0D
_ROOT, _DUAL_NAME = b"\\", b"\x2e"
_IO_PORTS, _IRQ, _END = 0x47, 0x22, 0x79
_DOUBLE_WORDS, _WORDS, _QUAD_WORDS = 0x87, 0x88, 0x8A
_MEMORY, _PORTS, _BUSES = 0, 1, 2
_MINIMUM_AND_MAXIMUM_FIXED: Final = 0x0C
_ENTIRE_RANGE: Final = 3
_WRITABLE: Final = 1
_PREFETCHABLE: Final = 3 << 1
_CONSTANTS: Final = ((1 << 8, _BYTE, "<B"), (1 << 16, _WORD, "<H"), (1 << 32, _DWORD, "<I"), (1 << 64, _QWORD, "<Q"))
_SEGMENT_SIZE: Final = 4
_SHORT_LENGTH: Final = 0x3F
_DECODE_16: Final = 1


def integer(value: int) -> bytes:
    """A constant of at most 64 bits, in its shortest form."""
    if value in (0, 1):
        return bytes([(_ZERO, _ONE)[value]])
    for limit, opcode, form in _CONSTANTS:
        if value < limit:
            return bytes([opcode]) + struct.pack(form, value)
    raise ValueError(f"{value:#x} has more than 64 bits")


def name_string(path: str) -> bytes:
    r"""A name of one or two segments, such as ``_SB``, ``\_S5`` or ``\_SB.COM1``; underlines fill a segment up."""
    root = _ROOT if path.startswith("\\") else b""
    segments = [segment.ljust(_SEGMENT_SIZE, "_").encode("ascii") for segment in path.lstrip("\\").split(".")]
    if len(segments) > 2 or any(len(segment) != _SEGMENT_SIZE for segment in segments):
        raise ValueError(f"{path} is not a name of one or two segments of at most four characters")
    return root + (_DUAL_NAME if len(segments) == 2 else b"") + b"".join(segments)


def package_length(size: int) -> bytes:
    """PkgLength in front of ``size`` bytes: it counts itself too, and has one to four bytes."""
    if size + 1 <= _SHORT_LENGTH:
        return bytes([size + 1])
    for more in (1, 2, 3):
        total = size + 1 + more
        if total < 1 << (4 + 8 * more):
            return bytes([more << 6 | total & 0xF]) + (total >> 4).to_bytes(more, "little")
    raise ValueError(f"{size} bytes are too many for one object")


def named(path: str, value: bytes) -> bytes:
    """``Name (path, value)``."""
    return bytes([_NAME]) + name_string(path) + value


def scope(path: str, *objects: bytes) -> bytes:
    """``Scope (path) { objects }``."""
    return bytes([_SCOPE]) + _counted(name_string(path) + b"".join(objects))


def device(path: str, *objects: bytes) -> bytes:
    """``Device (path) { objects }``."""
    return bytes([_EXTENDED, _DEVICE]) + _counted(name_string(path) + b"".join(objects))


def package(*elements: bytes) -> bytes:
    """``Package () { elements }``."""
    return bytes([_PACKAGE]) + _counted(bytes([len(elements)]) + b"".join(elements))


def buffer(data: bytes) -> bytes:
    """``Buffer () { data }``."""
    return bytes([_BUFFER]) + _counted(integer(len(data)) + data)


def text(value: str) -> bytes:
    """A string."""
    return bytes([_STRING]) + value.encode("ascii") + b"\0"


def eisa_id(text: str) -> bytes:
    """``EisaId ("PNP0501")``: three capital letters of five bits and four hexadecimal digits, big-endian."""
    first, second, third = (ord(letter) - ord("@") for letter in text[:3])
    value = first << 26 | second << 21 | third << 16 | int(text[3:], 16)
    return bytes([_DWORD]) + value.to_bytes(4, "big")


def io_ports(first: int, count: int) -> bytes:
    """A resource descriptor for ``count`` ports that always begin at ``first`` and are decoded with 16 bits."""
    return struct.pack("<BBHHBB", _IO_PORTS, _DECODE_16, first, first, 0, count)


def bus_numbers(first: int, last: int) -> bytes:
    """A resource descriptor for the bus numbers that a bridge passes on."""
    return _window(_WORDS, "<HHHHH", _BUSES, 0, first, last)


def port_window(first: int, last: int) -> bytes:
    """A resource descriptor for ports that a bridge passes on."""
    return _window(_WORDS, "<HHHHH", _PORTS, _ENTIRE_RANGE, first, last)


def memory_window(first: int, last: int) -> bytes:
    """A resource descriptor for addresses below 4 GiB that a bridge passes on: uncached, writable."""
    return _window(_DOUBLE_WORDS, "<IIIII", _MEMORY, _WRITABLE, first, last)


def high_memory_window(first: int, last: int) -> bytes:
    """A resource descriptor for addresses above 4 GiB that a bridge passes on: prefetchable, writable."""
    return _window(_QUAD_WORDS, "<QQQQQ", _MEMORY, _WRITABLE | _PREFETCHABLE, first, last)


def _window(tag: int, form: str, kind: int, flags: int, first: int, last: int) -> bytes:
    fields = struct.pack(form, 0, first, last, 0, last - first + 1)
    head = bytes([kind, _MINIMUM_AND_MAXIMUM_FIXED, flags])
    return struct.pack("<BH", tag, len(head) + len(fields)) + head + fields


def irq(number: int) -> bytes:
    """A resource descriptor for the edge-triggered, active-high, exclusive interrupt ``number``, 0 to 15."""
    return struct.pack("<BH", _IRQ, 1 << number)


def resource_template(*descriptors: bytes) -> bytes:
    """``ResourceTemplate () { descriptors }``, with the end tag and its checksum."""
    data = b"".join(descriptors) + bytes([_END])
    return buffer(data + bytes([-sum(data) & 0xFF]))


def _counted(data: bytes) -> bytes:
    return package_length(len(data)) + data
