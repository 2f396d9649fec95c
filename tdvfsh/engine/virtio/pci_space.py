"""Configuration space of a virtio function: capabilities that say where its structures are.

Source: Virtual I/O Device (VIRTIO) 1.2, 4.1.2 (discovery), 4.1.4 (capabilities); QEMU hw/virtio/virtio-pci.c (layout).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tdvfsh.engine.devices.bus import Device
from tdvfsh.engine.devices.message_interrupts import CONTROL_BITS, SIZE, MsiX
from tdvfsh.engine.devices.pci import BaseAddress, ConfigurationSpace
from tdvfsh.engine.devices.pci_functions import PciFunction
from tdvfsh.lazy_typing import Final

COMMON, ISR, CONFIGURATION, NOTIFY = 0x0000, 0x1000, 0x2000, 0x3000
STRUCTURES_SIZE: Final = 0x4000
NOTIFY_MULTIPLIER: Final = 4
_PART: Final = 0x1000
_STRUCTURES_BAR: Final = 4
_MSIX_BAR: Final = 1
_VENDOR: Final = 0x1AF4
_FIRST_DEVICE: Final = 0x1040
_MODERN: Final = 1
_STATUS: Final = 0x06
_HAS_CAPABILITIES: Final = 0x10
_INTERRUPT_STATUS: Final = 0x08
_COMMAND: Final = 0x04
_BUS_MASTER: Final = 1 << 2
_NO_PIN: Final = 1 << 10
_FIRST_CAPABILITY: Final = 0x34
_CAPABILITIES: Final = 0x40
_VENDOR_SPECIFIC: Final = 0x09
_COMMON_CFG, _NOTIFY_CFG, _ISR_CFG, _DEVICE_CFG, _PCI_CFG = 1, 2, 3, 4, 5
_WINDOW_BAR, _WINDOW_OFFSET, _WINDOW_LENGTH, _WINDOW_DATA = 4, 8, 12, 16


class VirtioSpace(ConfigurationSpace):
    """The space of one function.

    Args:
        device: Its number on bus 0.
        kind: The device's number in the specification.
        class_code: Its PCI class.
        structures: What answers at the register for its structures.
        msix: Its message interrupts.
        changed: Called when the command register or the control of message interrupts was written.
    """

    def __init__(
        self,
        device: int,
        kind: int,
        class_code: int,
        structures: Device,
        msix: MsiX,
        changed: Callable[[], None],
    ) -> None:
        function = PciFunction(device, 0, _FIRST_DEVICE + kind, class_code, vendor=_VENDOR, revision=_MODERN)
        registers = (
            BaseAddress(_MSIX_BAR, SIZE, False, msix),
            BaseAddress(_STRUCTURES_BAR, STRUCTURES_SIZE, False, structures, wide=True),
        )
        super().__init__(function, False, registers, f"PCI {device:02x}.0")
        self._structures = structures
        self._msix = msix
        self._changed = changed
        self._add_capabilities()

    def _add_capabilities(self) -> None:
        parts = (
            (_COMMON_CFG, COMMON, _PART, b""),
            (_ISR_CFG, ISR, _PART, b""),
            (_DEVICE_CFG, CONFIGURATION, _PART, b""),
            (_NOTIFY_CFG, NOTIFY, _PART, struct.pack("<I", NOTIFY_MULTIPLIER)),
        )
        capabilities = [_structure(kind, _STRUCTURES_BAR, offset, size, more) for kind, offset, size, more in parts]
        capabilities += [_structure(_PCI_CFG, 0, 0, 0, bytes(4)), self._msix.capability(_MSIX_BAR)]
        at, link = _CAPABILITIES, _FIRST_CAPABILITY
        for capability in capabilities:
            self.data[link] = at
            self.data[at : at + len(capability)] = capability
            self._control, link = at + 2, at + 1
            if capability[3:4] == bytes((_PCI_CFG,)) and capability[0] == _VENDOR_SPECIFIC:
                self._window = at
            at += -(-len(capability) // 4) * 4
        self.data[_STATUS] |= _HAS_CAPABILITIES
        self._masks |= {self._window + _WINDOW_BAR: 0xFF}
        self._masks |= dict.fromkeys(range(self._window + _WINDOW_OFFSET, self._window + _WINDOW_DATA), 0xFF)
        self._masks[self._control + 1] = CONTROL_BITS >> 8

    def _mask(self, offset: int) -> int:
        return self._masks.get(offset, 0) if offset >= _CAPABILITIES else super()._mask(offset)

    # ---- what the registers say ---------------------------------------------------------------------------------

    @property
    def is_master(self) -> bool:
        """Whether the function may access memory."""
        return bool(self.data[_COMMAND] & _BUS_MASTER)

    @property
    def may_assert_pin(self) -> bool:
        """Whether it interrupts by its pin."""
        return not self._msix.enabled and not int.from_bytes(self.data[_COMMAND : _COMMAND + 2], "little") & _NO_PIN

    def show_interrupt(self, pending: bool) -> None:
        """Set the interrupt status bit."""
        status = self.data[_STATUS] & ~_INTERRUPT_STATUS
        self.data[_STATUS] = status | _INTERRUPT_STATUS * pending

    # ---- access -------------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """``size`` bytes; the window of the PCI configuration access capability reads a structure."""
        if offset == self._window + _WINDOW_DATA:
            place = self._window_place()
            if place is not None:
                return self._structures.read(place, self._window_length)
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """``size`` bytes."""
        if offset == self._window + _WINDOW_DATA:
            place = self._window_place()
            if place is not None:
                length = self._window_length
                self._structures.write(place, length, value & (1 << 8 * length) - 1)
            return
        super().write(offset, size, value)
        if offset <= self._control + 1 < offset + size:
            self._msix.set_control(super().read(self._control, 2))
        if offset < _COMMAND + 2 or self._control - 2 <= offset <= self._control + 1:
            self._changed()

    @property
    def _window_length(self) -> int:
        return super().read(self._window + _WINDOW_LENGTH, 4)

    def _window_place(self) -> int | None:
        """Offset of the structure that the window shows, None where it shows nothing."""
        offset, length = super().read(self._window + _WINDOW_OFFSET, 4), self._window_length
        valid = length in (1, 2, 4) and not offset % length and offset + length <= STRUCTURES_SIZE
        return offset if valid and self.data[self._window + _WINDOW_BAR] == _STRUCTURES_BAR else None


def _structure(kind: int, base_address: int, offset: int, size: int, more: bytes) -> bytes:
    """A vendor-specific capability; its link is set later."""
    head = struct.pack("<BBBBB3xII", _VENDOR_SPECIFIC, 0, 16 + len(more), kind, base_address, offset, size)
    return head + more
