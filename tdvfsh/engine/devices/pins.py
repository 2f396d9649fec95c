"""Interrupt pins of PCI devices, which share lines of the I/O APIC.

Source: QEMU hw/isa/lpc_ich9.c (ich9_cc_reset: devices 0 to 24), hw/i386/acpi-build.c (build_prt_entry).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from tdvfsh.lazy_typing import Final

_FIRST_LINE: Final = 20
_LINES: Final = 4


def line_of(device: int, pin: int = 0) -> int:
    """The line that a pin (0 is INTA#) of a device on q35's bus 0 is wired to; devices 0 to 24."""
    return _FIRST_LINE + (device + pin) % _LINES


class PciPins:
    """The pins of all devices: a line is up while any of them asserts it.

    Args:
        set_line: Sets a line of the I/O APIC.
    """

    def __init__(self, set_line: Callable[[int, bool], None]) -> None:
        self._set_line = set_line
        self._asserted: defaultdict[int, set[int]] = defaultdict(set)

    def set_pin(self, device: int, level: bool) -> None:
        """A device's INTA# changes."""
        line = line_of(device)
        devices = self._asserted[line]
        if level:
            devices.add(device)
        else:
            devices.discard(device)
        self._set_line(line, bool(devices))
