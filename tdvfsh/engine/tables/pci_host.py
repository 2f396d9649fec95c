"""The PCI host bridge as ACPI describes it: its windows, its interrupts, and where configuration space is mapped.

Source: ACPI 6.5, 6.2.13 (_PRT); PCI Firmware Specification 3.3, 4.1.2 (MCFG); QEMU hw/i386/acpi-build.c
(build_dsdt, build_q35_isa_bridge), hw/pci-host/q35.c (the hole below the I/O APIC), hw/acpi/pci.c.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.devices.io_apic import ADDRESS as IO_APIC_ADDRESS
from tdvfsh.engine.devices.pci import ADDRESS as CONFIGURATION_PORT
from tdvfsh.engine.devices.pci import ECAM_PER_BUS
from tdvfsh.engine.devices.pci import PORTS as CONFIGURATION_PORTS
from tdvfsh.engine.devices.pins import line_of
from tdvfsh.engine.tables import aml
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

_LAST_PORT: Final = 0xFFFF
_LAST_BUS: Final = 0xFF
_VGA: Final = (0xA0000, 0xBFFFF)
_ICH9: Final = 0x1F
_FIRST_LINE: Final = 16
_PINS: Final = 4


@dataclass(frozen=True, slots=True)
class PciHost:
    """The host bridge of bus 0.

    Attributes:
        memory_start: The first address above low RAM, where the bridge's window begins.
        window: Where all of configuration space is mapped, as firmware has set it; None where it is not.
        buses: How many buses that window holds.
        devices: Numbers of devices that were added to those of q35, whose pins are wired.
        high_memory: Addresses ``[start, end)`` above 4 GiB that devices decode; None where none does.
    """

    memory_start: int
    window: int | None = None
    buses: int = 0
    devices: tuple[int, ...] = ()
    high_memory: tuple[int, int] | None = None

    @property
    def _window_end(self) -> int:
        return 0 if self.window is None else self.window + self.buses * ECAM_PER_BUS

    def device(self) -> bytes:
        """``PCI0``; addresses that the bridge takes for itself are in no window."""
        ports_end = CONFIGURATION_PORT + CONFIGURATION_PORTS
        holes = [(self.memory_start, IO_APIC_ADDRESS)]
        if self.window is not None:
            holes = [(self.memory_start, self.window), (self._window_end, IO_APIC_ADDRESS)]
        windows = [aml.memory_window(start, end - 1) for start, end in holes if start < end]
        high = []
        if self.high_memory is not None:
            high = [aml.high_memory_window(self.high_memory[0], self.high_memory[1] - 1)]
        resources = aml.resource_template(
            aml.bus_numbers(0, _LAST_BUS),
            aml.io_ports(CONFIGURATION_PORT, CONFIGURATION_PORTS),
            aml.port_window(0, CONFIGURATION_PORT - 1),
            aml.port_window(ports_end, _LAST_PORT),
            aml.memory_window(*_VGA),
            *windows,
            *high,
        )
        return aml.device(
            "PCI0",
            aml.named("_HID", aml.eisa_id("PNP0A08")),
            aml.named("_CID", aml.eisa_id("PNP0A03")),
            aml.named("_UID", aml.integer(0)),
            aml.named("_BBN", aml.integer(0)),
            aml.named("_CRS", resources),
            aml.named("_PRT", self._routing()),
        )

    def _routing(self) -> bytes:
        """Pins are wired to the I/O APIC, without a router in between: those of the ICH9, and of added devices."""
        wires = [(_ICH9, pin, _FIRST_LINE + pin) for pin in range(_PINS)]
        wires += [(device, pin, line_of(device, pin)) for device in self.devices for pin in range(_PINS)]
        return aml.package(
            *(
                aml.package(aml.integer(device << 16 | 0xFFFF), aml.integer(pin), aml.integer(0), aml.integer(line))
                for device, pin, line in wires
            )
        )

    def mcfg(self) -> bytes | None:
        """The body of the MCFG table; None where configuration space is not mapped."""
        if self.window is None:
            return None
        return bytes(8) + struct.pack("<QHBB4x", self.window, 0, 0, self.buses - 1)
