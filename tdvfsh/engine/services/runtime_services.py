"""Time and reset: the runtime services beside variables.

Source: UEFI 2.10 8.3 and 8.5.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Final

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.errors import GuestReset
from tdvfsh.uefi.efi_time import EFI_TIME, pack_time
from tdvfsh.uefi.status import SUCCESS, EfiStatus

START_OF_TIME: Final = datetime(2024, 1, 2, 3, 4, 0, tzinfo=UTC)
"""The date at which every machine's virtual clock starts."""

_RESETS: Final = ("cold", "warm", "shutdown", "platform")
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class RuntimeServices:
    """GetTime, SetTime, ResetSystem."""

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram
        self._offset = timedelta()

    @property
    def now(self) -> datetime:
        """The virtual date and time."""
        return START_OF_TIME + self._offset + timedelta(microseconds=self._context.clock.now_ns // 1000)

    @service("GetTime", "qq")
    def get_time(self, time: int, capabilities: int) -> EfiStatus:
        """EFI_GET_TIME."""
        if not time:
            return _INVALID
        self._context.clock.read()
        try:
            now = self.now
        except OverflowError:  # somebody has set the clock to the end of the calendar
            return EfiStatus.EFI_DEVICE_ERROR
        self._ram.write(time, pack_time(now))
        if capabilities:
            self._ram.write(capabilities, struct.pack("<IIB", 1, 50_000_000, 0))
        return SUCCESS

    @service("SetTime", "q")
    def set_time(self, time: int) -> EfiStatus:
        """EFI_SET_TIME."""
        if not time:
            return _INVALID
        year, month, day, hour, minute, second, nanosecond, _, _ = EFI_TIME.unpack(self._ram.read(time, EFI_TIME.size))
        try:
            moment = datetime(year, month, day, hour, minute, second, nanosecond // 1000, tzinfo=UTC)
        except ValueError:
            return _INVALID
        self._offset += moment - self.now
        return SUCCESS

    @service("ResetSystem", "dqqq")
    def reset_system(self, reset_type: int, reset_status: int, data_size: int, reset_data: int) -> None:
        """EFI_RESET_SYSTEM: the run ends."""
        kind = _RESETS[reset_type] if reset_type < len(_RESETS) else f"type {reset_type}"
        raise GuestReset(kind, reset_status)
