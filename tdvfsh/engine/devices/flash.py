"""A parallel flash chip with Intel's commands, as QEMU's pflash: the variable store of a plain VM's firmware.

It is read as memory until a command is written to it. Programming stores the byte as it is, also where a bit goes from
0 to 1, and erasing sets a sector to ones; both are done at once.

Source: Intel Common Flash Interface command set 1; QEMU hw/block/pflash_cfi01.c and hw/i386/pc_sysfw.c (sectors of
4 KiB).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final

SECTOR: Final = 4096
_READY: Final = 0x80
_PROGRAM, _OTHER_PROGRAM, _ERASE, _CLEAR_STATUS, _READ_STATUS, _IDENTIFY, _QUERY, _BUFFER, _CONFIRM = (
    0x10, 0x40, 0x20, 0x50, 0x70, 0x90, 0x98, 0xE8, 0xD0,
)  # fmt: skip
_READS_STATUS: Final = frozenset((_PROGRAM, _OTHER_PROGRAM, _ERASE, _READ_STATUS, _BUFFER))


class Flash:
    """The chip.

    Args:
        data: What it holds, a multiple of the sector's size.

    Attributes:
        data: What it holds now.
    """

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self._command = 0
        self._status = 0
        self._buffered: int | None = None

    def read(self, offset: int, size: int) -> int:
        """``size`` bytes: what it holds, its status, or zero where it is asked for what it is."""
        if self._command in _READS_STATUS:
            return int.from_bytes(bytes([self._status]) * size, "little")
        if self._command in (_IDENTIFY, _QUERY):
            return 0
        return int.from_bytes(self.data[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """A command, or what one waits for."""
        command = self._command
        if command in (_PROGRAM, _OTHER_PROGRAM) and not self._status & _READY:
            self._program(offset, size, value)
            self._status |= _READY
        elif command == _ERASE and value & 0xFF == _CONFIRM:
            sector = offset & -SECTOR
            self._program(sector, SECTOR, (1 << 8 * SECTOR) - 1)
            self._command, self._status = _READ_STATUS, self._status | _READY
        elif command == _BUFFER and self._buffered is None:
            self._buffered = (value & 0xFFFF) + 1
        elif command == _BUFFER and self._buffered:
            self._program(offset, size, value)
            self._buffered = max(self._buffered - size, 0)
        elif command == _BUFFER and value & 0xFF == _CONFIRM:
            self._command = _READ_STATUS
        else:
            self._begin(value & 0xFF)

    def _begin(self, command: int) -> None:
        if command == _CLEAR_STATUS:
            self._command = self._status = 0
        elif command in _READS_STATUS or command in (_IDENTIFY, _QUERY):
            self._command, self._buffered = command, None
            if command in (_PROGRAM, _OTHER_PROGRAM):
                self._status &= ~_READY
            elif command == _BUFFER:
                self._status |= _READY
        else:
            self._command = 0

    def _program(self, offset: int, size: int, value: int) -> None:
        self.data[offset : offset + size] = value.to_bytes(size, "little")
