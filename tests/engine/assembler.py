"""A very small assembler and PE writer: enough for EFI programs of a screenful.

The prologue keeps the system table in RBX, boot services in RSI and the image handle in RDI; scratch space for
out-parameters is at ``[rsp + 0x40]`` and up.
"""

from __future__ import annotations

import struct
from typing import Final, Self

from tdvfsh.uefi.service_names import BOOT_SERVICES

REGISTERS: Final = {
    name: number
    for number, name in enumerate(
        ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))
    )
}
SCRATCH: Final = 0x40
_FRAME: Final = 0x140
_TEXT_RVA: Final = 0x1000
_ALIGNMENT: Final = 0x200
_CON_OUT: Final = 64
_BOOT_SERVICES: Final = 96
_OUTPUT_STRING: Final = 8


class Program:
    """Machine code under construction; every method appends and returns the program."""

    def __init__(self, prologue: bool = True) -> None:
        self._code = bytearray()
        self._labels: dict[str, int] = {}
        self._fixups: list[tuple[int, str]] = []
        self._data: list[tuple[str, bytes]] = []
        if prologue:
            self.raw("53 56 57 4881EC40010000")  # push rbx, rsi, rdi; sub rsp, 0x140
            self.raw("4889D3 4889CF")  # mov rbx, rdx; mov rdi, rcx
            self.load("rsi", "rbx", _BOOT_SERVICES)

    def raw(self, code: str) -> Self:
        """Bytes in hex."""
        self._code += bytes.fromhex(code)
        return self

    def label(self, name: str) -> Self:
        """Name this place."""
        self._labels[name] = len(self._code)
        return self

    def data(self, name: str, data: bytes) -> Self:
        """Bytes after the code, 16-byte aligned."""
        self._data.append((name, data))
        return self

    def text(self, name: str, text: str) -> Self:
        """A CHAR16 string after the code."""
        return self.data(name, (text + "\0").encode("utf-16-le"))

    def mov(self, register: str, value: int) -> Self:
        """A 64-bit constant into a register."""
        number = REGISTERS[register]
        self._code += bytes((0x48 | number >> 3, 0xB8 | number & 7)) + struct.pack("<Q", value & (1 << 64) - 1)
        return self

    def copy(self, target: str, source: str) -> Self:
        """Register to register."""
        to, of = REGISTERS[target], REGISTERS[source]
        self._code += bytes((0x48 | of >> 3 << 2 | to >> 3, 0x89, 0xC0 | (of & 7) << 3 | to & 7))
        return self

    def load(self, register: str, base: str, offset: int = 0) -> Self:
        """``mov register, [base + offset]``."""
        return self._memory(0x8B, register, base, offset)

    def store(self, base: str, offset: int, register: str) -> Self:
        """``mov [base + offset], register``."""
        return self._memory(0x89, register, base, offset)

    def address(self, register: str, base: str, offset: int = 0) -> Self:
        """``lea register, [base + offset]``."""
        return self._memory(0x8D, register, base, offset)

    def _memory(self, opcode: int, register: str, base: str, offset: int) -> Self:
        number, of = REGISTERS[register], REGISTERS[base]
        self._code += bytes((0x48 | number >> 3 << 2 | of >> 3, opcode, 0x80 | (number & 7) << 3 | of & 7))
        if of & 7 == 4:
            self._code += b"\x24"
        self._code += struct.pack("<i", offset)
        return self

    def lea(self, register: str, label: str) -> Self:
        """Address of a label."""
        number = REGISTERS[register]
        self._code += bytes((0x48 | number >> 3 << 2, 0x8D, (number & 7) << 3 | 5))
        return self._to(label)

    def jump(self, label: str) -> Self:
        """Jump always."""
        self._code += b"\xe9"
        return self._to(label)

    def jump_if_error(self, label: str) -> Self:
        """Jump if RAX is not 0."""
        self.raw("4885C0 0F85")
        return self._to(label)

    def jump_if_success(self, label: str) -> Program:
        """Jump if RAX is 0."""
        self.raw("4885C0 0F84")
        return self._to(label)

    def _to(self, label: str) -> Self:
        self._fixups.append((len(self._code), label))
        self._code += bytes(4)
        return self

    def call_at(self, base: str, offset: int) -> Self:
        """``call [base + offset]``."""
        self.load("rax", base, offset)
        return self.raw("FFD0")

    def boot(self, service: str) -> Self:
        """Call a boot service."""
        return self.call_at("rsi", 24 + 8 * BOOT_SERVICES.index(service))

    def stack_argument(self, position: int, value: int | str) -> Self:
        """The argument number ``position`` (from 0, at least 4): a constant or a register."""
        if isinstance(value, int):
            self.mov("rax", value)
        return self.store("rsp", 8 * position, value if isinstance(value, str) else "rax")

    def print(self, label: str) -> Self:
        """ConOut->OutputString."""
        self.load("rcx", "rbx", _CON_OUT).lea("rdx", label)
        return self.call_at("rcx", _OUTPUT_STRING)

    def ret(self, status: int | None = None) -> Self:
        """Leave the program; with RAX as it is where no status is given."""
        if status is not None:
            self.mov("rax", status)
        return self.raw("4881C440010000 5F 5E 5B C3")

    def image(self) -> bytes:
        """The whole EFI application."""
        return pe_image(self.code())

    def code(self) -> bytes:
        """The machine code with its data."""
        code = bytearray(self._code)
        for name, data in self._data:
            code += bytes(-len(code) % 16)
            self._labels[name] = len(code)
            code += data
        for at, label in self._fixups:
            code[at : at + 4] = struct.pack("<i", self._labels[label] - at - 4)
        return bytes(code)


def pe_image(
    text: bytes, subsystem: int = 10, entry: int = _TEXT_RVA, flags: int = 0xE0000020, dll_characteristics: int = 0
) -> bytes:
    """An x64 EFI image with one section, readable, writable and executable as a rule."""
    raw = text + bytes(-len(text) % _ALIGNMENT)
    size_of_image = _TEXT_RVA + -(-len(raw) // 0x1000) * 0x1000
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    header = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x22)
    optional = struct.pack("<HBBIIIII", 0x20B, 0, 0, len(raw), 0, 0, entry, _TEXT_RVA)
    optional += struct.pack("<QIIHHHHHHIIIIHH", 0, 0x1000, _ALIGNMENT, 0, 0, 0, 0, 0, 0, 0, size_of_image, 0x200, 0,
                            subsystem, dll_characteristics)  # fmt: skip
    optional += struct.pack("<QQQQII", 0, 0, 0, 0, 0, 16) + bytes(128)
    section = struct.pack("<8sIIIIIIHHI", b".text", len(text), _TEXT_RVA, len(raw), 0x200, 0, 0, 0, 0, flags)
    headers = dos + header + optional + section
    return headers + bytes(0x200 - len(headers)) + raw
