"""The CMOS clock at ports 0x70 and 0x71, showing the virtual date.

Source: Motorola MC146818 datasheet.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

INDEX: Final = 0x70
DATA: Final = 0x71
_STATUS_A: Final = 0x0A
_STATUS_B: Final = 0x0B
_STATUS_D: Final = 0x0D
_CENTURY: Final = 0x32
_DIVIDER: Final = 0x26
_24_HOURS: Final = 0x02
_POWERED: Final = 0x80


def _bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


class CmosClock:
    """The clock; it cannot be set and raises no interrupts.

    Args:
        now: The date and time.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._index = 0

    def read(self, port: int) -> int:
        """One byte."""
        if port == INDEX:
            return 0xFF
        now = self._now()
        values = {
            0x00: _bcd(now.second), 0x02: _bcd(now.minute), 0x04: _bcd(now.hour), 0x06: now.isoweekday() % 7 + 1,
            0x07: _bcd(now.day), 0x08: _bcd(now.month), 0x09: _bcd(now.year % 100), _CENTURY: _bcd(now.year // 100),
            _STATUS_A: _DIVIDER, _STATUS_B: _24_HOURS, _STATUS_D: _POWERED,
        }  # fmt: skip
        return values.get(self._index, 0)

    def write(self, port: int, value: int) -> None:
        """Choose a register."""
        if port == INDEX:
            self._index = value & 0x7F
