"""I/O ports: serial port, clock, power management block, reset register, PCI configuration; elsewhere nothing answers.

Source: QEMU hw/i386/pc_q35.c and hw/acpi/ich9.c for the addresses; ACPI 6.5, 4.8.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tdvfsh.engine.devices.cmos import DATA, INDEX, CmosClock
from tdvfsh.engine.devices.pci_functions import ADDRESS as PCI_ADDRESS
from tdvfsh.engine.devices.pci_functions import DATA as PCI_DATA
from tdvfsh.engine.devices.pci_functions import PciConfiguration
from tdvfsh.engine.devices.serial_port import COM1, SerialPort
from tdvfsh.engine.errors import GuestReset

PM1_EVENT: Final = 0x600
PM1_CONTROL: Final = 0x604
PM_TIMER: Final = 0x608
RESET: Final = 0xCF9
_PM_TIMER_HZ: Final = 3_579_545
_SCI_ENABLED: Final = 1
_SLEEP_ENABLE: Final = 1 << 13
_SYSTEM_RESET: Final = 1 << 2
_ONES: Final = 0xFFFFFFFF


class Ports:
    """The port space.

    Args:
        serial: COM1.
        clock: The CMOS clock.
        now: Virtual nanoseconds.
    """

    def __init__(self, serial: SerialPort, clock: CmosClock, now: Callable[[], int]) -> None:
        self._serial = serial
        self._clock = clock
        self._now = now
        self._events = bytearray(4)
        self._pci = PciConfiguration()

    def read(self, port: int, size: int) -> int:
        """``size`` bytes from a port; all ones where nothing answers."""
        if COM1 <= port < COM1 + 8:
            return self._serial.read(port - COM1)
        if port in (INDEX, DATA):
            return self._clock.read(port)
        if port == PCI_ADDRESS or PCI_DATA <= port < PCI_DATA + 4:
            return self._pci.read(port, size)
        if port == PM1_CONTROL:
            return _SCI_ENABLED
        if port == PM_TIMER:
            return self._now() * _PM_TIMER_HZ // 1_000_000_000 & _ONES >> (32 - 8 * size)
        if PM1_EVENT <= port < PM1_EVENT + 4:
            offset = port - PM1_EVENT
            return int.from_bytes(self._events[offset : offset + size], "little")
        return _ONES >> (32 - 8 * size)

    def write(self, port: int, size: int, value: int) -> None:
        """``size`` bytes to a port.

        Raises:
            GuestReset: It was the one that ends the machine's run.
        """
        if COM1 <= port < COM1 + 8:
            self._serial.write(port - COM1, value & 0xFF)
        elif port in (INDEX, DATA):
            self._clock.write(port, value & 0xFF)
        elif port == PCI_ADDRESS:
            self._pci.write(port, size, value)
        elif port == PM1_CONTROL and value & _SLEEP_ENABLE:
            raise GuestReset("shutdown", 0)
        elif port == RESET and value & _SYSTEM_RESET:
            raise GuestReset("cold", 0)
        elif PM1_EVENT <= port < PM1_EVENT + 4:
            self._enable_events(port - PM1_EVENT, value.to_bytes(8, "little")[:size])

    def _enable_events(self, offset: int, data: bytes) -> None:
        """The enable register is kept; the status register before it stays 0, for nothing happens."""
        for at, byte in enumerate(data, offset):
            if 2 <= at < 4:
                self._events[at] = byte
