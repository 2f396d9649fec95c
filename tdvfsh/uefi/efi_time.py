"""EFI_TIME: a date and time with its zone, and its bytes.

Source: UEFI 2.10 8.3 (EFI_TIME).
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

EFI_TIME: Final = struct.Struct("<HBBBBBxIhBx")
"""Year, month, day, hour, minute, second, nanosecond, time zone in minutes, daylight."""

EFI_UNSPECIFIED_TIMEZONE: Final = 0x7FF
EFI_TIME_ADJUST_DAYLIGHT: Final = 0x1
EFI_TIME_IN_DAYLIGHT: Final = 0x2


class EfiTime(NamedTuple):
    """EFI_TIME; ``time_zone`` counts minutes that local time is behind UTC, or is EFI_UNSPECIFIED_TIMEZONE."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    nanosecond: int = 0
    time_zone: int = EFI_UNSPECIFIED_TIMEZONE
    daylight: int = 0

    @classmethod
    def unpack(cls, data: bytes) -> EfiTime:
        """The 16 bytes of EFI_TIME."""
        return cls(*EFI_TIME.unpack(data))

    def pack(self) -> bytes:
        """The 16 bytes of EFI_TIME."""
        return EFI_TIME.pack(*self)


def pack_time(moment: datetime) -> bytes:
    """EFI_TIME of a moment, time zone unspecified."""
    return EfiTime(*moment.timetuple()[:6], moment.microsecond * 1000).pack()
