"""The I/O ports of q35: each device at its own, refused where two overlap; elsewhere nothing answers.

Source: QEMU hw/i386/pc_q35.c, hw/i386/pc.c (port 80), hw/isa/port92.c and hw/acpi/ich9.c for the addresses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tdvfsh.engine.devices.absent import absent_port
from tdvfsh.engine.devices.bus import DeviceBus
from tdvfsh.engine.devices.cmos import INDEX, CmosClock
from tdvfsh.engine.devices.cmos import PORTS as CMOS_PORTS
from tdvfsh.engine.devices.interval_timer import COUNTERS, SPEAKER, IntervalTimer
from tdvfsh.engine.devices.interval_timer import PORTS as COUNTER_PORTS
from tdvfsh.engine.devices.power_management import PM1_EVENT, PM_SIZE, PowerManagement
from tdvfsh.engine.devices.serial_port import COM1, SerialPort
from tdvfsh.engine.errors import GuestReset
from tdvfsh.lazy_typing import Final

POST_CODE: Final = 0x80
SYSTEM_CONTROL: Final = 0x92
_A20: Final = 2
_FAST_RESET: Final = 1
_COM1_PORTS: Final = 8


class Ports(DeviceBus):
    """The port space with the devices that every guest finds.

    Args:
        serial: COM1.
        clock: The CMOS.
        now: Virtual nanoseconds, for a guest that polls.
        access: Virtual nanoseconds, for a guest that compares clocks.
        missing: Counts accesses that nothing answers.
    """

    def __init__(
        self,
        serial: SerialPort,
        clock: CmosClock,
        now: Callable[[], int],
        access: Callable[[], int],
        missing: Counter[str] | None = None,
    ) -> None:
        super().__init__("port", missing, absent_port)
        self.attach(INDEX, CMOS_PORTS, "CMOS", clock)
        timer = IntervalTimer(access, self.missing)
        self.attach(COUNTERS, COUNTER_PORTS, "8254 PIT", timer)
        self.attach(SPEAKER, 1, "PC speaker", timer.speaker)
        self.attach(POST_CODE, 1, "POST code", PostCode())
        self.attach(SYSTEM_CONTROL, 1, "system control port A", SystemControl())
        self.attach(COM1, _COM1_PORTS, "COM1", serial)
        self.attach(PM1_EVENT, PM_SIZE, "power management", PowerManagement(now, self.missing))


class SystemControl:
    """System control port A: line A20, which is always on, and a reset of the processor."""

    def read(self, offset: int, size: int) -> int:
        """A20 is on."""
        return _A20

    def write(self, offset: int, size: int, value: int) -> None:
        """Reset the machine, if the bit says so.

        Raises:
            GuestReset: It does.
        """
        if value & _FAST_RESET:
            raise GuestReset("cold", 0)


class PostCode:
    """The port to which progress codes are written, and which delays a little; nothing reads them."""

    def read(self, offset: int, size: int) -> int:
        """All ones."""
        return (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Lost."""
