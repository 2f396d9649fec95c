"""Devices that q35 may have and this board has not, by where a guest looks for them.

Source: QEMU hw/i386/pc.c, hw/isa, hw/tpm/tpm_tis.h and hw/timer/hpet.c for the addresses.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final

_PORTS: Final = (
    (0x00, 0x10, "8237 DMA"),
    (0x20, 0x22, "8259 PIC"),
    (0x81, 0x90, "8237 DMA"),
    (0xA0, 0xA2, "8259 PIC"),
    (0xC0, 0xE0, "8237 DMA"),
    (0x170, 0x178, "IDE"),
    (0x1F0, 0x1F8, "IDE"),
    (0x278, 0x280, "parallel port"),
    (0x2E8, 0x2F0, "COM4"),
    (0x2F8, 0x300, "COM2"),
    (0x378, 0x380, "parallel port"),
    (0x3B0, 0x3E0, "VGA"),
    (0x3E8, 0x3F0, "COM3"),
    (0x3F0, 0x3F8, "floppy disk"),
    (0x4D0, 0x4D2, "8259 PIC"),
)
_ADDRESSES: Final = (
    (0xA0000, 0xC0000, "VGA"),
    (0xFED00000, 0xFED00400, "HPET"),
    (0xFED40000, 0xFED45000, "TPM"),
)


def absent_port(address: int) -> str | None:
    """The device that a PC has at an I/O port, or None where none is known."""
    return _named(_PORTS, address)


def absent_address(address: int) -> str | None:
    """The device that a PC has at a physical address, or None where none is known."""
    return _named(_ADDRESSES, address)


def _named(places: tuple[tuple[int, int, str], ...], address: int) -> str | None:
    return next((name for start, end, name in places if start <= address < end), None)
