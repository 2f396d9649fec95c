"""QEMU's registers for processors that come and go, by which firmware counts those that are there; none ever changes.

Source: QEMU docs/specs/acpi_cpu_hotplug.rst (modern interface), hw/acpi/cpu.c, hw/acpi/ich9.c (address).
"""

from __future__ import annotations

from collections import Counter

from tdvfsh.lazy_typing import Final

ADDRESS: Final = 0xCD8
SIZE: Final = 0x0C
_SELECTOR: Final = 0x0
_FLAGS: Final = 0x4
_COMMAND: Final = 0x5
_DATA: Final = 0x8
_ENABLED: Final = 1
_NEXT_WITH_EVENT: Final = 0
_ARCHITECTURE_ID: Final = 3


class CpuHotplug:
    """The registers.

    Args:
        vcpus: Processors, all of them present; their APIC IDs are their numbers.
        missing: Counts what is asked for and lacking.
    """

    def __init__(self, vcpus: int, missing: Counter[str]) -> None:
        self._vcpus = vcpus
        self._missing = missing
        self._selected = 0
        self._command = _NEXT_WITH_EVENT

    def read(self, offset: int, size: int) -> int:
        """A register; 0 where no such processor is selected."""
        if self._selected >= self._vcpus:
            return 0
        if offset == _FLAGS:
            return _ENABLED
        if offset == _DATA and self._command in (_NEXT_WITH_EVENT, _ARCHITECTURE_ID):
            return self._selected & (1 << 8 * size) - 1
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Select a processor, or a command."""
        if offset == _SELECTOR and size == 4:
            self._selected = value
        elif offset == _COMMAND and value in (_NEXT_WITH_EVENT, _ARCHITECTURE_ID):
            self._command = value
        else:
            self._missing[f"CPU hotplug register {offset:#x} (write of {value:#x})"] += 1
