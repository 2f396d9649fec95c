"""The PCI functions that QEMU's q35 always has, by what they say of themselves, and the ports that ask them.

Nothing can be set in them: they are there to be found. ACPI describes no bus, so that a system looks for no drivers.

Source: identifiers as QEMU's q35 shows them (hw/pci-host/q35.c, hw/isa/lpc_ich9.c, hw/ide/ich.c, hw/i2c/smbus_ich9.c);
four functions are what recorded stubs found; PCI Local Bus 3.0 3.2.2.3.2 (configuration mechanism).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

ADDRESS: Final = 0xCF8
DATA: Final = 0xCFC
CONFIGURATION_SIZE: Final = 256
_INTEL: Final = 0x8086
_ENABLED: Final = 1 << 31
_ADDRESS_BITS: Final = 0x80FFFFFC
_ONES: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class PciFunction:
    """A function on bus 0: where it is, and what it says of itself."""

    device: int
    function: int
    device_id: int
    class_code: int

    def configuration(self) -> bytes:
        """Its configuration space, of which only the identification is set."""
        header = struct.pack("<HHHHI", _INTEL, self.device_id, 0, 0, self.class_code << 8)
        return header.ljust(CONFIGURATION_SIZE, b"\0")


Q35_FUNCTIONS: Final = (
    PciFunction(0, 0, 0x29C0, 0x060000),  # host bridge
    PciFunction(0x1F, 0, 0x2918, 0x060100),  # LPC
    PciFunction(0x1F, 2, 0x2922, 0x010601),  # AHCI
    PciFunction(0x1F, 3, 0x2930, 0x0C0500),  # SMBus
)


class PciConfiguration:
    """Both ports of the configuration mechanism."""

    def __init__(self) -> None:
        self._address = 0
        self._functions = {each.device << 3 | each.function: each.configuration() for each in Q35_FUNCTIONS}

    def write(self, port: int, size: int, value: int) -> None:
        """Choose a register, by a write of 32 bits; what is written to one is lost."""
        if port == ADDRESS and size == 4:
            self._address = value & _ADDRESS_BITS

    def read(self, port: int, size: int) -> int:
        """``size`` bytes; all ones where there is no function."""
        ones = _ONES >> (32 - 8 * size)
        if port == ADDRESS and size == 4:
            return self._address
        if port < DATA or not self._address & _ENABLED:
            return ones
        bus, place = self._address >> 16 & 0xFF, self._address >> 8 & 0xFF
        configuration = None if bus else self._functions.get(place)
        offset = (self._address & 0xFC) + port - DATA
        return ones if configuration is None else int.from_bytes(configuration[offset : offset + size], "little")
