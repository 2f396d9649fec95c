"""What QEMU refuses before any firmware runs.

The checks are as old as ``-initrd``: they were there when hw/pc.c booted Linux, and the head of 2026, which knows
``-shim``, has them still.

Source: QEMU hw/i386/x86-common.c (x86_load_linux) at its head of 2026; the reserve for ACPI tables as observed with
QEMU 7.2.
"""

from __future__ import annotations

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.td.ram import RamLayout
from tdvfsh.units import human_size

ACPI_DATA_SIZE: Final = 0x28000
_ABOVE_4G: Final = 1 << 1  # xloadflags: CAN_BE_LOADED_ABOVE_4G
_NO_LIMIT: Final = 0xFFFFFFFF
_OLD_LIMIT: Final = 0x37FFFFFF
_HEADER_KNOWS_INITRD: Final = 0x200
_HEADER_HAS_LIMIT: Final = 0x203


def check_initrd(ram: RamLayout, files: BootFiles) -> None:
    """Refuse an initrd that QEMU does not take with ``-initrd``.

    Raises:
        UsageError: The kernel has no boot protocol header that knows initrds, as a unified kernel image; or the initrd
            is not smaller than the kernel's limit and the RAM below 4 GiB, less what ACPI tables take.
    """
    linux = files.kernel.linux
    if files.initrds and (linux is None or linux.version < _HEADER_KNOWS_INITRD):
        raise UsageError(
            "QEMU does not start: 'linux kernel too old to load a ram disk': it takes -initrd only with a kernel that "
            f"has a boot protocol header, and {files.kernel.path} has none"
        )
    if linux is None or not files.initrd_size:
        return
    limit = _OLD_LIMIT
    if linux.xloadflags & _ABOVE_4G:
        limit = _NO_LIMIT
    elif linux.version >= _HEADER_HAS_LIMIT:
        limit = linux.initrd_addr_max
    limit = min(limit, ram.low.end - ACPI_DATA_SIZE - 1)
    if files.initrd_size >= limit:
        raise UsageError(
            f"QEMU does not start: the initrd of {human_size(files.initrd_size)} is too large, it must be smaller than "
            f"{limit:,} bytes"
        )
