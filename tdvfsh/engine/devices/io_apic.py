"""An I/O APIC with 24 inputs, reached by memory-mapped registers.

Source: Intel 82093AA datasheet; QEMU hw/intc/ioapic.c for the version, which brings a register to end interrupts.
"""

from __future__ import annotations

from tdvfsh.engine.devices.interrupt_bus import EVERYBODY, FIXED, LOWEST_PRIORITY, NMI, InterruptBus
from tdvfsh.lazy_typing import Final

ADDRESS: Final = 0xFEC00000
SIZE: Final = 0x1000
_INPUTS: Final = 24
_SELECT: Final = 0x00
_WINDOW: Final = 0x10
_END: Final = 0x40
_IDENTITY: Final = 0x0F000000
_VERSION: Final = 0x20 | (_INPUTS - 1) << 16
_TABLE: Final = 0x10
_MASKED: Final = 1 << 16
_LEVEL: Final = 1 << 15
_TAKEN: Final = 1 << 14  # "remote IRR": the processor has a level-triggered interrupt and is not done with it
_READ_ONLY: Final = _TAKEN | 1 << 12
_LOGICAL: Final = 1 << 11
_MODES: Final = (FIXED, LOWEST_PRIORITY, NMI)  # not SMI, INIT, external
_BROADCAST: Final = 0xFF
_REGISTER: Final = 0xFFFFFFFF


class IoApic:
    """The I/O APIC.

    Args:
        bus: Where its interrupts go.
    """

    def __init__(self, bus: InterruptBus) -> None:
        self._bus = bus
        self._select = 0
        self._identity = 0
        self._entries = [_MASKED] * _INPUTS
        self._lines = 0

    def read(self, offset: int, size: int = 4) -> int:
        """A 32-bit register."""
        if offset == _SELECT:
            return self._select
        if offset != _WINDOW:
            return 0
        if self._select in (0, 2):
            return self._identity
        if self._select == 1:
            return _VERSION
        index, high = divmod(self._select - _TABLE, 2)
        if self._select < _TABLE or index >= _INPUTS:
            return 0
        return self._entries[index] >> 32 if high else self._entries[index] & 0xFFFFFFFF

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a 32-bit register."""
        value &= _REGISTER
        if offset == _SELECT:
            self._select = value & 0xFF
            return
        if offset == _END:
            self.ended(value & 0xFF)
        if offset != _WINDOW:
            return
        if self._select == 0:
            self._identity = value & _IDENTITY
        index, high = divmod(self._select - _TABLE, 2)
        if self._select < _TABLE or index >= _INPUTS:
            return
        entry = self._entries[index]
        if high:
            self._entries[index] = entry & 0xFFFFFFFF | (value & 0xFF000000) << 32
            return
        kept = entry & ~0xFFFFFFFF | entry & _READ_ONLY
        self._entries[index] = kept | value & 0x1FFFF & ~_READ_ONLY
        if not value & _LEVEL:
            self._entries[index] &= ~_TAKEN
        self._ask_again(index)

    def set_line(self, number: int, level: bool) -> None:
        """An input changes; its rising edge requests an interrupt."""
        before = self._lines >> number & 1
        self._lines = self._lines | 1 << number if level else self._lines & ~(1 << number)
        if level and not before:
            self._deliver(number)

    def ended(self, vector: int) -> None:
        """The processor is done with a vector: level-triggered inputs that are still up ask again."""
        for number, entry in enumerate(self._entries):
            if entry & 0xFF == vector and entry & _LEVEL:
                self._entries[number] = entry & ~_TAKEN
                self._ask_again(number)

    def _ask_again(self, number: int) -> None:
        if self._lines >> number & 1 and self._entries[number] & _LEVEL:
            self._deliver(number)

    def _deliver(self, number: int) -> None:
        entry = self._entries[number]
        mode = entry >> 8 & 7
        if entry & (_MASKED | _TAKEN) or mode not in _MODES:
            return
        level = bool(entry & _LEVEL)
        destination = entry >> 56
        named = EVERYBODY if destination == _BROADCAST else destination
        targets = self._bus.named(named, bool(entry & _LOGICAL))
        if level and targets:
            self._entries[number] |= _TAKEN
        self._bus.send(targets, mode, entry & 0xFF, level)
