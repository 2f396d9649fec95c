"""MSI-X: interrupts that a PCI function sends as writes of memory.

Source: PCI Local Bus 3.0, 6.8.2 (capability, table, pending bits); Intel SDM volume 3, 11.11 (address and data).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tdvfsh.engine.devices.interrupt_bus import EVERYBODY, InterruptBus
from tdvfsh.lazy_typing import Final

SIZE: Final = 0x1000
_PENDING: Final = 0x800
_ENTRY_SIZE: Final = 16
_ENTRY: Final = struct.Struct("<QII")
_CAPABILITY: Final = 0x11
_MASKED: Final = 1
_ENABLE: Final = 1 << 15
_MASK_ALL: Final = 1 << 14
_BROADCAST: Final = 0xFF
CONTROL_BITS: Final = _ENABLE | _MASK_ALL
VECTORS_AT_MOST: Final = _PENDING // _ENTRY_SIZE

Send = Callable[[int, int], None]
"""Writes a message: address and data."""


def send_message(bus: InterruptBus, address: int, data: int) -> bool:
    """Deliver a message of a device to the local APICs; False where the address is not theirs."""
    if address >> 20 != 0xFEE:
        return False
    destination = address >> 12 & 0xFF
    named = EVERYBODY if destination == _BROADCAST else destination
    bus.send(bus.named(named, bool(address >> 2 & 1)), data >> 8 & 7, data & 0xFF)
    return True


class MsiX:
    """The table of a function, in a base address register of its own, with the pending bits after it.

    Args:
        vectors: Its entries.
        send: Sends a message.

    Attributes:
        control: The capability's control register.
    """

    def __init__(self, vectors: int, send: Send) -> None:
        self._send = send
        self._vectors = vectors
        self._pending = 0
        self.control = 0
        self.reset()

    def reset(self) -> None:
        """As after power on."""
        self._table = bytearray(_ENTRY.pack(0, 0, _MASKED) * self._vectors)
        self._pending = 0

    def capability(self, base_address: int) -> bytes:
        """The capability, whose first byte and link come before: control, table and pending bits."""
        return struct.pack("<BBHII", _CAPABILITY, 0, self._vectors - 1, base_address, _PENDING | base_address)

    @property
    def enabled(self) -> bool:
        """Whether the function sends messages and asserts no pin."""
        return bool(self.control & _ENABLE)

    def has(self, vector: int) -> bool:
        """Whether there is such an entry."""
        return vector < self._vectors

    def set_control(self, value: int) -> None:
        """The control register was written."""
        self.control = value & CONTROL_BITS
        self._send_pending()

    def notify(self, vector: int) -> None:
        """Send an entry's message, or keep it pending while it is masked."""
        if self.enabled and self.has(vector):
            self._pending |= 1 << vector
            self._send_pending()

    def _send_pending(self) -> None:
        if not self.enabled or self.control & _MASK_ALL:
            return
        for vector in range(self._pending.bit_length()):
            address, data, mask = _ENTRY.unpack_from(self._table, vector * _ENTRY_SIZE)
            if self._pending >> vector & 1 and not mask & _MASKED:
                self._pending &= ~(1 << vector)
                self._send(address, data)

    def read(self, offset: int, size: int) -> int:
        """A part of the table or of the pending bits; 0 elsewhere."""
        if offset >= _PENDING:
            pending = self._pending.to_bytes(VECTORS_AT_MOST // 8, "little")
            return int.from_bytes(pending[offset - _PENDING :][:size], "little")
        return int.from_bytes(self._table[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """A part of the table; what becomes unmasked is sent."""
        end = min(offset + size, len(self._table))
        if offset < end:
            self._table[offset:end] = value.to_bytes(8, "little")[: end - offset]
            self._send_pending()
