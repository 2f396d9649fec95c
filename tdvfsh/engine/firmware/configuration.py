"""What fw_cfg and the CMOS tell firmware about its machine and what to boot.

Source: QEMU hw/i386/fw_cfg.c, hw/i386/x86-common.c (x86_load_linux), hw/acpi/core.c (etc/system-states).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial

from tdvfsh.engine.devices.fw_cfg import Contents, FwCfgItem
from tdvfsh.engine.devices.pci import PciBus
from tdvfsh.engine.firmware.setup_header import patched_setup
from tdvfsh.engine.firmware.table_loader import acpi_files, smbios_files
from tdvfsh.engine.tables.pci_host import PciHost
from tdvfsh.errors import UsageError
from tdvfsh.formats.mapped import copy_of
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.td.trust_domain import TrustDomain

_E820_RAM: Final = 1
_NO_GRAPHICS: Final = 1
_KERNEL_ADDRESS: Final = 0x100000
_SETUP_ADDRESS: Final = 0x10000
_COMMAND_LINE_ADDRESS: Final = 0x20000
_LINUX_ROM: Final = "/rom@genroms/linuxboot_dma.bin"
_DISK: Final = "/pci@i0cf8/scsi@{:x}/disk@0,0"
_SLEEP_STATES: Final = {True: bytes((128, 0, 0, 1, 2, 128)), False: bytes((128, 0, 0, 129, 130, 128))}
"""By whether S3 and S4 are off: QEMU has both on, management tools switch both off for a TD, which cannot sleep."""


def machine_items(td: TrustDomain) -> dict[int, Contents]:
    """The numbered items of a machine."""
    count = struct.pack("<H", td.vcpus)
    return {
        FwCfgItem.SYSTEM_UUID: bytes(16),
        FwCfgItem.RAM_SIZE: struct.pack("<Q", td.ram.memory),
        FwCfgItem.GRAPHICS_ENABLED: struct.pack("<H", _NO_GRAPHICS),
        FwCfgItem.SMP_CPU_COUNT: count,
        FwCfgItem.MAXIMUM_CPU_COUNT: count,
        FwCfgItem.BOOT_DEVICE: struct.pack("<H", 0),
        FwCfgItem.BOOT_MENU: struct.pack("<H", 0),
    }


def machine_files(td: TrustDomain, bus: PciBus) -> dict[str, Contents | Callable[[], Contents]]:
    """The files of a machine; the ACPI tables are made when firmware asks for them and has set up PCI."""

    def acpi_file(name: str) -> bytes:
        start, buses = bus.window
        host = PciHost(td.ram.low.end, start, buses, bus.plugged, bus.high_memory)
        return acpi_files(td.vcpus, host)[name]

    e820 = b"".join(struct.pack("<QQI", span.start, span.size, _E820_RAM) for span in td.ram.spans)
    return {
        "etc/e820": e820,
        "etc/system-states": _SLEEP_STATES[td.is_td],
        **{name: partial(acpi_file, name) for name in acpi_files(td.vcpus)},
        **smbios_files(td.ram, td.vcpus),
    }


def boot_items(files: BootFiles, patched_for: TrustDomain | None = None) -> dict[int, Contents]:
    """Kernel, initrds and command line.

    Args:
        files: What is booted.
        patched_for: The machine for which QEMU before 10.2 changes the kernel's setup header; None for the kernel as it
            is, as QEMU hands it to a TD since.

    Raises:
        UsageError: The kernel has no Linux boot header, which QEMU asks for.
    """
    kernel = files.kernel
    if kernel.linux is None:
        raise UsageError(f"{kernel.path}: not a Linux kernel (bzImage), which --kernel takes")
    setup = kernel.linux.setup_size
    setup_data: Contents = kernel.view[:setup]
    if patched_for is not None:
        setup_data = patched_setup(files, copy_of(kernel.view[:setup]), patched_for.ram.low.size)
    cmdline = files.cmdline.encode() + b"\0"
    initrd = _joined_initrds(files)
    items: dict[int, Contents] = {
        FwCfgItem.KERNEL_ADDRESS: struct.pack("<I", _KERNEL_ADDRESS),
        FwCfgItem.KERNEL_SIZE: struct.pack("<I", kernel.size - setup),
        FwCfgItem.KERNEL_DATA: kernel.view[setup:],
        FwCfgItem.SETUP_ADDRESS: struct.pack("<I", _SETUP_ADDRESS),
        FwCfgItem.SETUP_SIZE: struct.pack("<I", setup),
        FwCfgItem.SETUP_DATA: setup_data,
        FwCfgItem.COMMAND_LINE_ADDRESS: struct.pack("<I", _COMMAND_LINE_ADDRESS),
        FwCfgItem.COMMAND_LINE_SIZE: struct.pack("<I", len(cmdline)),
        FwCfgItem.COMMAND_LINE_DATA: cmdline,
    }
    if len(initrd):
        items |= {
            FwCfgItem.INITRD_ADDRESS: struct.pack("<I", 0),
            FwCfgItem.INITRD_SIZE: struct.pack("<I", len(initrd)),
            FwCfgItem.INITRD_DATA: initrd,
        }
    return items


def boot_order(has_kernel: bool, disks: Sequence[int]) -> dict[str, Contents]:
    """What is started first: the option ROM of QEMU's -kernel, then disks, by device number; no file for neither."""
    paths = [_LINUX_ROM] * has_kernel + [_DISK.format(device) for device in disks]
    return {"bootorder": "\n".join(paths).encode() + b"\0"} if paths else {}


def shim_files(files: BootFiles, shim: memoryview) -> dict[str, Contents]:
    """What QEMU's -shim adds: shim, and the kernel as it is.

    Source: QEMU 10.0 hw/i386/x86-common.c.
    """
    return {"etc/boot/kernel": files.kernel.view, "etc/boot/shim": shim}


def _joined_initrds(files: BootFiles) -> Contents:
    if len(files.initrds) == 1:
        return files.initrds[0].view
    joined = bytearray(files.initrd_size)
    for offset, view in files.initrd_pieces():
        joined[offset : offset + len(view)] = view
    return joined
