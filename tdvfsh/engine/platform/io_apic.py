"""An I/O APIC with 24 inputs, reached by memory-mapped registers.

Source: Intel 82093AA datasheet; QEMU hw/intc/ioapic.c for the version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

ADDRESS: Final = 0xFEC00000
SIZE: Final = 0x1000
_INPUTS: Final = 24
_SELECT: Final = 0x00
_WINDOW: Final = 0x10
_VERSION: Final = 0x20 | (_INPUTS - 1) << 16
_TABLE: Final = 0x10
_MASKED: Final = 1 << 16
_LEVEL: Final = 1 << 15


class IoApic:
    """The I/O APIC.

    Args:
        request: Called with the vector of an interrupt for the processor.
    """

    def __init__(self, request: Callable[[int], None]) -> None:
        self._request = request
        self._select = 0
        self._entries = [_MASKED] * _INPUTS
        self._lines = 0

    def read(self, offset: int) -> int:
        """A 32-bit register."""
        if offset == _SELECT:
            return self._select
        if offset != _WINDOW:
            return 0
        if self._select == 1:
            return _VERSION
        index, high = divmod(self._select - _TABLE, 2)
        if self._select < _TABLE or index >= _INPUTS:
            return 0
        return self._entries[index] >> 32 if high else self._entries[index] & 0xFFFFFFFF

    def write(self, offset: int, value: int) -> None:
        """Write a 32-bit register."""
        if offset == _SELECT:
            self._select = value & 0xFF
            return
        index, high = divmod(self._select - _TABLE, 2)
        if offset != _WINDOW or self._select < _TABLE or index >= _INPUTS:
            return
        entry = self._entries[index]
        if high:
            self._entries[index] = entry & 0xFFFFFFFF | (value & 0xFFFFFFFF) << 32
        else:
            self._entries[index] = entry & ~0xFFFFFFFF | value & 0xFFFFFFFF
            if self._lines >> index & 1 and self._entries[index] & _LEVEL:
                self._deliver(index)

    def set_line(self, number: int, level: bool) -> None:
        """An input changes; its rising edge requests an interrupt."""
        before = self._lines >> number & 1
        self._lines = self._lines | 1 << number if level else self._lines & ~(1 << number)
        if level and not before:
            self._deliver(number)

    def ended(self, vector: int) -> None:
        """The processor is done with a vector: level-triggered inputs that are still up ask again."""
        for number, entry in enumerate(self._entries):
            if entry & 0xFF == vector and entry & _LEVEL and self._lines >> number & 1:
                self._deliver(number)

    def _deliver(self, number: int) -> None:
        entry = self._entries[number]
        if not entry & _MASKED:
            self._request(entry & 0xFF)
