"""The ICH9's SMBus controller; QEMU's q35 with no devices has memory modules' EEPROMs on it, this one nothing.

Source: Intel ICH9 datasheet, 20.2; QEMU hw/i2c/smbus_ich9.c, hw/i2c/pm_smbus.c.
"""

from __future__ import annotations

from collections import Counter

from tdvfsh.lazy_typing import Final

SIZE: Final = 0x40
_CONTROL: Final = 2
_START: Final = 1 << 6
_DEVICE_ERROR: Final = 1 << 2


class SmbusController:
    """The controller's registers; a transaction ends at once with a device error.

    Args:
        missing: Counts what is asked for and lacking.
    """

    def __init__(self, missing: Counter[str]) -> None:
        self._missing = missing
        self._registers = bytearray(SIZE)

    def read(self, offset: int, size: int) -> int:
        """A register."""
        return int.from_bytes(self._registers[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register: ones clear the status."""
        value &= 0xFF
        if offset == 0:
            self._registers[0] &= ~value & 0xFF
            return
        self._registers[offset] = value & ~_START if offset == _CONTROL else value
        if offset == _CONTROL and value & _START:
            self._missing["an SMBus transaction: no device is connected"] += 1
            self._registers[0] |= _DEVICE_ERROR
