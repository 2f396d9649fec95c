"""EFI_TIME as bytes.

Source: UEFI 2.10 8.3 (EFI_TIME).
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Final

EFI_TIME: Final = struct.Struct("<HBBBBBxIhBx")
"""Year, month, day, hour, minute, second, nanosecond, time zone in minutes, daylight."""

EFI_UNSPECIFIED_TIMEZONE: Final = 0x7FF


def pack_time(moment: datetime) -> bytes:
    """EFI_TIME of a moment, time zone unspecified."""
    return EFI_TIME.pack(
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond * 1000,
        EFI_UNSPECIFIED_TIMEZONE, 0,
    )  # fmt: skip
