"""The setup header of a Linux kernel with what QEMU writes into it as a boot loader.

QEMU since 10.2 hands a TD the kernel as it is; before, the kernel that firmware measures had these fields changed.

Source: QEMU hw/i386/x86-common.c (x86_load_linux), hw/i386/pc.c (acpi_data_size); Linux
Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

import re
import struct

from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.units import PAGE_SIZE

_REAL_ADDRESS: Final = 0x10000
_COMMAND_LINE_ADDRESS: Final = 0x20000
_ACPI_DATA_SIZE: Final = 0x28000
_VID_MODE: Final = 0x1FA
_PROTOCOL: Final = 0x206
_TYPE_OF_LOADER: Final = 0x210
_LOAD_FLAGS: Final = 0x211
_RAMDISK_IMAGE: Final = 0x218
_HEAP_END_POINTER: Final = 0x224
_COMMAND_LINE_POINTER: Final = 0x228
_INITRD_ADDR_MAX: Final = 0x22C
_XLOADFLAGS: Final = 0x236
_CAN_USE_HEAP: Final = 0x80
_QEMU: Final = 0xB0
_ABOVE_4G: Final = 2
_VGA: Final = re.compile(r"vga=(normal|ext|ask|0[xX][0-9a-fA-F]+|\d+)")
_VGA_MODES: Final = {"normal": 0xFFFF, "ext": 0xFFFE, "ask": 0xFFFD}


def patched_setup(files: BootFiles, setup: bytes, ram_below_4g: int) -> bytes:
    """The setup part of a kernel of protocol 2.3 or newer as QEMU before 10.2 changes it.

    Args:
        files: What is booted.
        setup: The kernel's setup part, which holds the header.
        ram_below_4g: Bytes of the machine's RAM below 4 GiB: the initrd's address is at its top.
    """
    data = bytearray(setup)
    mode = _VGA.search(files.cmdline)
    if mode is not None:
        number = _VGA_MODES.get(mode[1])
        struct.pack_into("<H", data, _VID_MODE, (int(mode[1], 0) if number is None else number) & 0xFFFF)
    data[_TYPE_OF_LOADER] = _QEMU
    data[_LOAD_FLAGS] |= _CAN_USE_HEAP
    struct.pack_into("<H", data, _HEAP_END_POINTER, _COMMAND_LINE_ADDRESS - _REAL_ADDRESS - 0x200)
    struct.pack_into("<I", data, _COMMAND_LINE_POINTER, _COMMAND_LINE_ADDRESS)
    if files.initrds:
        (protocol,) = struct.unpack_from("<H", data, _PROTOCOL)
        (flags,) = struct.unpack_from("<H", data, _XLOADFLAGS)
        (highest,) = struct.unpack_from("<I", data, _INITRD_ADDR_MAX)
        if protocol >= 0x20C and flags & _ABOVE_4G:
            highest = 0xFFFFFFFF
        highest = min(highest, ram_below_4g - _ACPI_DATA_SIZE - 1)
        address = (highest - files.initrd_size) & -PAGE_SIZE
        struct.pack_into("<II", data, _RAMDISK_IMAGE, address & 0xFFFFFFFF, files.initrd_size)
    return bytes(data)
