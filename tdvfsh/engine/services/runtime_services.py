"""Time and reset: the runtime services beside variables.

Source: UEFI 2.10 8.3 and 8.5.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.errors import GuestReset
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names
from tdvfsh.uefi.efi_time import EFI_TIME, EfiTime
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_CAPABILITIES: Final = struct.pack("<IIB", 1, 50_000_000, 0)  # 1 Hz, 50 parts per million, subseconds are kept
_RESETS: Final = ("cold", "warm", "shutdown", "platform")
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class RuntimeServices:
    """GetTime, SetTime, GetWakeupTime, SetWakeupTime, ResetSystem, over the DXE core's real-time clock."""

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram

    @service(service_names.GET_TIME, "qq")
    def get_time(self, time: int, capabilities: int) -> EfiStatus:
        """EFI_GET_TIME; asking takes a moment."""
        if not time:
            return _INVALID
        status, now = self._context.core.real_time_clock.get_time(self._context.clock.read())
        if now is None:
            return status
        self._ram.write(time, now.pack())
        if capabilities:
            self._ram.write(capabilities, _CAPABILITIES)
        return SUCCESS

    @service(service_names.SET_TIME, "q")
    def set_time(self, time: int) -> EfiStatus:
        """EFI_SET_TIME."""
        if not time:
            return _INVALID
        return self._context.core.real_time_clock.set_time(self._time(time), self._context.clock.now_ns)

    @service(service_names.GET_WAKEUP_TIME, "qqq")
    def get_wakeup_time(self, enabled: int, pending: int, time: int) -> EfiStatus:
        """EFI_GET_WAKEUP_TIME."""
        if not enabled or not pending or not time:
            return _INVALID
        result = self._context.core.real_time_clock.get_wakeup_time(self._context.clock.now_ns)
        if result.time is None:
            return result.status
        self._ram.write(enabled, bytes((result.enabled,)))
        self._ram.write(pending, bytes((result.pending,)))
        self._ram.write(time, result.time.pack())
        return SUCCESS

    @service(service_names.SET_WAKEUP_TIME, "bq")
    def set_wakeup_time(self, enable: int, time: int) -> EfiStatus:
        """EFI_SET_WAKEUP_TIME."""
        wanted = self._time(time) if enable and time else None
        return self._context.core.real_time_clock.set_wakeup_time(bool(enable), wanted, self._context.clock.now_ns)

    def _time(self, address: int) -> EfiTime:
        return EfiTime.unpack(self._ram.read(address, EFI_TIME.size))

    @service(service_names.RESET_SYSTEM, "dqqq")
    def reset_system(self, reset_type: int, reset_status: int, data_size: int, reset_data: int) -> None:
        """EFI_RESET_SYSTEM: the run ends."""
        kind = _RESETS[reset_type] if reset_type < len(_RESETS) else f"type {reset_type}"
        raise GuestReset(kind, reset_status)
