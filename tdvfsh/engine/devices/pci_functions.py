"""The PCI functions that QEMU's q35 always has, by what they say of themselves.

Source: identifiers as QEMU's q35 shows them (hw/pci-host/q35.c, hw/isa/lpc_ich9.c, hw/ide/ich.c, hw/i2c/smbus_ich9.c);
four functions are what recorded stubs found.
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

CONFIGURATION_SIZE: Final = 256
_INTEL: Final = 0x8086
_REVISION: Final = 2
_SUBSYSTEM: Final = struct.pack("<HH", 0x1AF4, 0x1100)
_SUBSYSTEM_OFFSET: Final = 0x2C
_MULTIPLE_FUNCTIONS: Final = 0x80
_HEADER_TYPE: Final = 0x0E


@dataclass(frozen=True, slots=True)
class PciFunction:
    """A function on bus 0: where it is, and its identification."""

    device: int
    function: int
    device_id: int
    class_code: int
    vendor: int = _INTEL
    revision: int = _REVISION

    def configuration(self) -> bytes:
        """Its configuration space, of which only the identification is set."""
        header = struct.pack("<HHHHI", self.vendor, self.device_id, 0, 0, self.class_code << 8)
        return header.ljust(CONFIGURATION_SIZE, b"\0")

    def after_reset(self, several: bool) -> bytearray:
        """Its configuration space as firmware finds it.

        Args:
            several: Whether its device has other functions.
        """
        data = bytearray(self.configuration())
        data[8] = self.revision
        data[_HEADER_TYPE] = _MULTIPLE_FUNCTIONS * several
        data[_SUBSYSTEM_OFFSET : _SUBSYSTEM_OFFSET + len(_SUBSYSTEM)] = _SUBSYSTEM
        return data


HOST_BRIDGE: Final = PciFunction(0, 0, 0x29C0, 0x060000, revision=0)
LPC: Final = PciFunction(0x1F, 0, 0x2918, 0x060100)
AHCI: Final = PciFunction(0x1F, 2, 0x2922, 0x010601)
SMBUS: Final = PciFunction(0x1F, 3, 0x2930, 0x0C0500)
Q35_FUNCTIONS: Final = (HOST_BRIDGE, LPC, AHCI, SMBUS)
