"""The ICH9's power management block: PM1 events, PM1 control and the timer; it stands where OVMF puts it.

Source: QEMU hw/acpi/core.c and hw/acpi/ich9.c; ACPI 6.5, 4.8.3; edk2 OvmfPkg/Include/IndustryStandard/Q35MchIch9.h.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tdvfsh.engine.errors import GuestReset
from tdvfsh.lazy_typing import Final

PM1_EVENT: Final = 0x600
PM1_CONTROL: Final = 0x604
PM_TIMER: Final = 0x608
GENERAL_EVENTS: Final = 0x620
GENERAL_EVENTS_SIZE: Final = 16
PM_SIZE: Final = 0x80
PM_TIMER_HZ: Final = 3_579_545
_CONTROL: Final = PM1_CONTROL - PM1_EVENT
_TIMER: Final = PM_TIMER - PM1_EVENT
_SCI_ENABLED: Final = 1
_SLEEP_ENABLE: Final = 1 << 13
_SLEEP_TYPE: Final = 7 << 10
_ONES: Final = 0xFFFFFFFF
_GENERAL_EVENTS: Final = range(GENERAL_EVENTS - PM1_EVENT, GENERAL_EVENTS - PM1_EVENT + GENERAL_EVENTS_SIZE)
_SMI: Final = range(0x30, 0x38)


class PowerManagement:
    """The block.

    Args:
        now: Virtual nanoseconds; a poll of the timer lets some pass.
        missing: Counts what is asked for and lacking.
    """

    def __init__(self, now: Callable[[], int], missing: Counter[str]) -> None:
        self._now = now
        self._missing = missing
        self._events = bytearray(4)
        self._control = _SCI_ENABLED

    def read(self, offset: int, size: int) -> int:
        """A register."""
        if offset == _TIMER:
            return self._now() * PM_TIMER_HZ // 1_000_000_000 & _ONES >> (32 - 8 * size)
        if _CONTROL <= offset < _CONTROL + 2:
            return self._control >> 8 * (offset - _CONTROL) & (1 << 8 * size) - 1
        if offset < len(self._events):
            return int.from_bytes(self._events[offset : offset + size], "little")
        if offset in _GENERAL_EVENTS or offset in _SMI:
            return 0
        self._missing[f"power management register {offset:#x} (read)"] += 1
        return (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register.

        Raises:
            GuestReset: The guest switches off.
        """
        if offset == _CONTROL and value & _SLEEP_ENABLE:
            if value & _SLEEP_TYPE:
                self._missing[f"sleep type {(value & _SLEEP_TYPE) >> 10}"] += 1
            raise GuestReset("shutdown", 0)
        if offset == _CONTROL:
            self._control = value & ~_SLEEP_ENABLE & 0xFFFF | _SCI_ENABLED
        elif offset < len(self._events):
            self._enable_events(offset, value.to_bytes(8, "little")[:size])
        elif offset not in _GENERAL_EVENTS and offset not in _SMI:
            self._missing[f"power management register {offset:#x} (write)"] += 1

    def _enable_events(self, offset: int, data: bytes) -> None:
        """The enable register is kept; the status register before it stays 0, for nothing happens."""
        for at, byte in enumerate(data, offset):
            if 2 <= at < 4:
                self._events[at] = byte
