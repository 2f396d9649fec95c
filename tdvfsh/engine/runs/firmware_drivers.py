"""Drivers of real firmware that find partitions and FAT volumes on disks: edk2's own, taken out of a firmware file.

They run as UEFI drivers on the emulated processor. What they install, programs and LoadImage find as on a real machine.

Source: edk2 MdeModulePkg/Universal/Disk/DiskIoDxe, PartitionDxe, FatPkg/EnhancedFatDxe.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.errors import FormatError
from tdvfsh.formats.firmware_modules import FirmwareContents, FirmwareModule
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import EFI_BLOCK_IO_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import MIB

DISK_DRIVERS: Final = ("DiskIoDxe", "PartitionDxe", "Fat")
"""Names of the modules, in the order in which they are started."""
_LARGEST: Final = 64 * MIB


def disk_drivers(path: str) -> list[FirmwareModule]:
    """The drivers in a firmware file.

    Raises:
        HostError, FormatError: It cannot be read, or does not have them.
    """
    with open_mapped(path) as file:
        if file.size > _LARGEST:
            raise FormatError(path, "too large for firmware")
        contents = FirmwareContents(file.read_at(0, file.size))
    modules = {module.name: module for module in contents.modules if not module.is_te}
    for name in DISK_DRIVERS:
        if name not in modules:
            raise FormatError(path, f"no driver named {name} among the {len(modules)} modules of this firmware")
    return [modules[name] for name in DISK_DRIVERS]


def start_drivers(firmware: GuestFirmware, drivers: Sequence[FirmwareModule]) -> None:
    """Start drivers, and connect every disk to them and to what they find on it.

    Raises:
        FormatError: One cannot be loaded, or does not start.
        EngineError: One does not end by itself.
    """
    services, machine = firmware.services, firmware.machine
    for driver in drivers:
        view = memoryview(bytes(driver.image))
        status, handle = services.load_image(False, machine.firmware_image, None, view)
        if status is SUCCESS and handle is not None:
            firmware.name_image(handle, driver.name)
            status = services.start_image(handle).status
        if status is not SUCCESS:
            raise FormatError(driver.name, f"the driver of the firmware does not start: {status.name}")
    for handle in services.handles.locate_handles(EFI_BLOCK_IO_PROTOCOL_GUID):
        services.drivers.connect(handle, recursive=True)
