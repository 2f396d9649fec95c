"""The devices of a machine: what is reached by ports, and what by addresses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from tdvfsh.engine.devices.cmos import CmosClock
from tdvfsh.engine.devices.interrupt_bus import InterruptBus
from tdvfsh.engine.devices.io_apic import ADDRESS, SIZE, IoApic
from tdvfsh.engine.devices.ports import Ports
from tdvfsh.engine.devices.serial_port import COM1_LINE, SerialPort

_REGISTER: Final = 0xFFFFFFFF


class Devices:
    """The devices.

    Args:
        bus: Where their interrupts go.
        console: Takes each byte that the serial port sends.
        date: The date and time.
        now: Virtual nanoseconds.

    Attributes:
        io_apic: The I/O APIC.
        serial: COM1.
        ports: The I/O ports.
    """

    def __init__(
        self,
        bus: InterruptBus,
        console: Callable[[int], None],
        date: Callable[[], datetime],
        now: Callable[[], int],
    ) -> None:
        self.io_apic = IoApic(bus)
        self.serial = SerialPort(console, lambda level: self.io_apic.set_line(COM1_LINE, level))
        self.ports = Ports(self.serial, CmosClock(date), now)

    def read(self, address: int, size: int) -> int:
        """A register in the address space; all ones where there is none."""
        if ADDRESS <= address < ADDRESS + SIZE:
            return self.io_apic.read(address - ADDRESS)
        return (1 << 8 * size) - 1

    def write(self, address: int, size: int, value: int) -> None:
        """Write a register; nothing happens where there is none."""
        if ADDRESS <= address < ADDRESS + SIZE:
            self.io_apic.write(address - ADDRESS, value & _REGISTER)
