"""The devices of a machine: what is reached by ports, and what by addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from tdvfsh.engine.devices.absent import absent_address
from tdvfsh.engine.devices.ahci import INDEX_SIZE, AhciController, AhciIndex
from tdvfsh.engine.devices.ahci import SIZE as AHCI_SIZE
from tdvfsh.engine.devices.bus import DeviceBus
from tdvfsh.engine.devices.cmos import CmosClock
from tdvfsh.engine.devices.interrupt_bus import InterruptBus
from tdvfsh.engine.devices.io_apic import ADDRESS, SIZE, IoApic
from tdvfsh.engine.devices.message_interrupts import send_message
from tdvfsh.engine.devices.pci import ADDRESS as PCI_ADDRESS
from tdvfsh.engine.devices.pci import PORTS as PCI_PORTS
from tdvfsh.engine.devices.pci import BaseAddress, PciBus
from tdvfsh.engine.devices.pci_functions import AHCI, SMBUS
from tdvfsh.engine.devices.pins import PciPins
from tdvfsh.engine.devices.ports import Ports
from tdvfsh.engine.devices.serial_port import COM1_LINE, SerialPort
from tdvfsh.engine.devices.smbus import SIZE as SMBUS_SIZE
from tdvfsh.engine.devices.smbus import SmbusController


class Devices:
    """The devices that every guest finds; firmware's own are attached to the buses.

    Args:
        bus: Where their interrupts go.
        console: Takes each byte that the serial port sends.
        date: The date and time.
        now: Virtual nanoseconds, for a guest that polls.
        access: Virtual nanoseconds, for a guest that compares clocks.
        cmos: CMOS registers that are set from the start.

    Attributes:
        io_apic: The I/O APIC.
        pins: The interrupt pins of PCI devices.
        serial: COM1.
        ports: The I/O ports.
        memory: Devices in the address space.
        missing: How often the guest asked for what no device has, by a text that names it.
    """

    def __init__(
        self,
        bus: InterruptBus,
        console: Callable[[int], None],
        date: Callable[[], datetime],
        now: Callable[[], int],
        access: Callable[[], int],
        cmos: Mapping[int, int] | None = None,
    ) -> None:
        self.missing: Counter[str] = Counter()
        self._bus = bus
        self.io_apic = IoApic(bus)
        self.pins = PciPins(self.io_apic.set_line)
        self.serial = SerialPort(console, lambda level: self.io_apic.set_line(COM1_LINE, level))
        self.ports = Ports(self.serial, CmosClock(date, cmos), now, access, self.missing)
        self.memory = DeviceBus("address", self.missing, absent_address)
        self.memory.attach(ADDRESS, SIZE, "I/O APIC", self.io_apic)
        ahci = AhciController(self.missing)
        base_addresses = {
            AHCI: (
                BaseAddress(4, INDEX_SIZE, True, AhciIndex(ahci)),
                BaseAddress(5, AHCI_SIZE, False, ahci),
            ),
            SMBUS: (BaseAddress(4, SMBUS_SIZE, True, SmbusController(self.missing)),),
        }
        self.pci = PciBus(self.ports, self.memory, self.missing, base_addresses)
        self.ports.attach(PCI_ADDRESS, PCI_PORTS, "PCI configuration", self.pci)

    def send_message(self, address: int, data: int) -> None:
        """Deliver a message interrupt of a PCI device."""
        if not send_message(self._bus, address, data):
            self.missing["a message interrupt to an address that is not a local APIC's"] += 1

    def read(self, address: int, size: int) -> int:
        """A register in the address space; all ones where there is none."""
        return self.memory.read(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Write a register; nothing happens where there is none."""
        self.memory.write(address, size, value)
