"""Trap stubs: the few instructions at the address of each service that hand a call over to the host.

A stub spills the register arguments to the caller's home space, stores the stack pointer and its own number in cells,
and halts; the host serves the call, puts the answer in a cell, and continues after the ``hlt``. The number tells our
``hlt`` from one of the guest's. Cells and stubs lie in one block and refer to each other relatively.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tdvfsh.engine.abi.service_table import Service
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Final

RETURN: Final = 1
"""Number of the stub that callbacks return to."""

_NUMBER_CELL: Final = 0
_STACK_CELL: Final = 8
_ANSWER_CELL: Final = 16
_FIRST_STUB: Final = 64
_STUB_SIZE: Final = 48
_RESUME: Final = 38  # offset after the hlt
_SPILL: Final = bytes.fromhex("48894c2408 4889542410 4c89442418 4c894c2420")  # mov [rsp+8..], rcx rdx r8 r9
_NUMBER: Final = struct.Struct("<I")
_WORD: Final = struct.Struct("<Q")


class Stubs:
    """The block of stubs.

    Args:
        ram: Guest RAM.
        start: Address of the block.
        size: Its bytes.
    """

    def __init__(self, ram: GuestRam, start: int, size: int) -> None:
        self._ram = ram
        self._start = start
        self._end = start + size
        self._moved = 0
        self._called_moved = 0
        self.services: list[Service | None] = [None, None]
        self._write_return()

    def add(self, service: Service) -> int:
        """Address of a stub for ``service``."""
        number = len(self.services)
        address = self._address(number)
        if address + _STUB_SIZE > self._end:
            raise EngineError("no room for another service")
        self.services.append(service)
        code = bytearray(_SPILL)
        code += self._relative(address, code, b"\x48\x89\x25", _STACK_CELL)  # mov [rsp cell], rsp
        code += self._relative(address, code, b"\xc7\x05", _NUMBER_CELL, _NUMBER.pack(number))  # mov dword [..], n
        code += b"\xf4"  # hlt
        assert len(code) == _RESUME
        code += self._relative(address, code, b"\x48\x8b\x05", _ANSWER_CELL)  # mov rax, [answer cell]
        code += b"\xc3"  # ret
        self._ram.view[address : address + len(code)] = bytes(code)
        return address

    @property
    def return_address(self) -> int:
        """Where a callback's return address points."""
        return self._address(RETURN)

    def take_number(self) -> int:
        """Number of the stub that halted the processor, 0 if none did; the cell is cleared."""
        number = int(_NUMBER.unpack_from(self._ram.view, self._start + _NUMBER_CELL)[0])
        if number:
            _NUMBER.pack_into(self._ram.view, self._start + _NUMBER_CELL, 0)
            self._called_moved = self._moved
        return number

    @property
    def stack(self) -> int:
        """The stack pointer at the last call: it points to the return address."""
        return int(_WORD.unpack_from(self._ram.view, self._start + _STACK_CELL)[0])

    @property
    def answer(self) -> int:
        """RAX of a callback that has returned."""
        return int(_WORD.unpack_from(self._ram.view, self._start + _ANSWER_CELL)[0])

    def answer_with(self, number: int, value: int) -> int:
        """Store a service's answer; returns the address to continue at, in the mapping that the call was made in."""
        _WORD.pack_into(self._ram.view, self._start + _ANSWER_CELL, value & ((1 << 64) - 1))
        return self._address(number) + _RESUME + self._called_moved

    def move(self, convert: Callable[[int], int | None]) -> None:
        """Guests call the stubs by other addresses from the next call on."""
        there = convert(self._start)
        if there is not None:
            self._moved = there - self._start

    def _write_return(self) -> None:
        address = self._address(RETURN)
        code = bytearray()
        code += self._relative(address, code, b"\x48\x89\x05", _ANSWER_CELL)  # mov [answer cell], rax
        code += self._relative(address, code, b"\xc7\x05", _NUMBER_CELL, _NUMBER.pack(RETURN))
        code += b"\xf4"
        self._ram.view[address : address + len(code)] = bytes(code)

    def _address(self, number: int) -> int:
        return self._start + _FIRST_STUB + number * _STUB_SIZE

    def _relative(self, address: int, before: bytearray, opcode: bytes, cell: int, tail: bytes = b"") -> bytes:
        following = address + len(before) + len(opcode) + 4 + len(tail)
        return opcode + struct.pack("<i", self._start + cell - following) + tail
