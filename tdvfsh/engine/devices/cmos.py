"""The CMOS at ports 0x70 and 0x71: a clock that shows the virtual date, and the memory in which QEMU tells of RAM.

Source: Motorola MC146818 datasheet; QEMU hw/i386/pc.c (pc_cmos_init, pc_cmos_init_late).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from tdvfsh.lazy_typing import Final
from tdvfsh.td.ram import RamLayout
from tdvfsh.units import KIB, MIB

INDEX: Final = 0x70
DATA: Final = 0x71
PORTS: Final = 2
_STATUS_A: Final = 0x0A
_STATUS_B: Final = 0x0B
_STATUS_C: Final = 0x0C
_STATUS_D: Final = 0x0D
_CENTURY: Final = 0x32
_DIVIDER: Final = 0x26
_24_HOURS: Final = 0x02
_POWERED: Final = 0x80
_NO_INTERRUPT: Final = 0
_SHOWN: Final = frozenset((0x00, 0x02, 0x04, 0x06, 0x07, 0x08, 0x09, _CENTURY, _STATUS_C, _STATUS_D))
_CONVENTIONAL_KIB: Final = 640
_MOST_64_KIB: Final = 65535
_CHUNK: Final = 64 * KIB


def _bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


def memory_registers(ram: RamLayout, vcpus: int) -> dict[int, int]:
    """What QEMU writes to the CMOS of a machine, by register.

    Args:
        ram: Its RAM.
        vcpus: Its processors.
    """
    below, above = ram.low.end, 0 if ram.high is None else ram.high.size
    words = {
        0x15: _CONVENTIONAL_KIB,
        0x17: min(below // KIB - KIB, _MOST_64_KIB),
        0x30: min(below // KIB - KIB, _MOST_64_KIB),
        0x34: min(max(0, below - 16 * MIB) // _CHUNK, _MOST_64_KIB),
    }
    registers = {at + byte: value >> 8 * byte & 0xFF for at, value in words.items() for byte in (0, 1)}
    registers |= {0x5B + byte: above // _CHUNK >> 8 * byte & 0xFF for byte in range(3)}
    registers[0x5F] = min(vcpus - 1, 0xFF)
    return registers


class CmosClock:
    """The CMOS; its clock cannot be set and raises no interrupts.

    Args:
        now: The date and time.
        memory: Registers that are set from the start, by number.
    """

    def __init__(self, now: Callable[[], datetime], memory: Mapping[int, int] | None = None) -> None:
        self._now = now
        self._index = 0
        self._memory = {_STATUS_A: _DIVIDER, _STATUS_B: _24_HOURS, **(memory or {})}

    def read(self, offset: int, size: int = 1) -> int:
        """One byte: of the index port, which cannot be read, or of the register that it names."""
        if offset == 0:
            return 0xFF
        index = self._index
        return self._clock(index) if index in _SHOWN else self._memory.get(index, 0)

    def _clock(self, index: int) -> int:
        now = self._now()
        values = {
            0x00: _bcd(now.second), 0x02: _bcd(now.minute), 0x04: _bcd(now.hour), 0x06: now.isoweekday() % 7 + 1,
            0x07: _bcd(now.day), 0x08: _bcd(now.month), 0x09: _bcd(now.year % 100), _CENTURY: _bcd(now.year // 100),
            _STATUS_C: _NO_INTERRUPT, _STATUS_D: _POWERED,
        }  # fmt: skip
        return values[index]

    def write(self, offset: int, size: int, value: int) -> None:
        """Choose a register, or write it: the date stays what it is."""
        if offset == 0:
            self._index = value & 0x7F
        elif self._index == _STATUS_B:
            self._memory[_STATUS_B] = _24_HOURS  # decimal digits, 24 hours, no interrupts, as it is
        elif self._index not in _SHOWN:
            self._memory[self._index] = value & 0xFF
