"""The boot loader on a disk image of the user's: what firmware starts of a disk that no boot option names.

Source: UEFI 2.10, 3.5.1.1 (removable media boot behaviour: ``\\EFI\\BOOT\\BOOTX64.EFI`` of a FAT volume); edk2
MdeModulePkg/Library/UefiBootManagerLib/BmBoot.c (the first volume that has the file).
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.storage.disks import attach_disk_with_volumes, disk_path
from tdvfsh.engine.storage.partitions import fat_volumes
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.loaders.firmware_player import FirmwarePlayer
from tdvfsh.loaders.flow import LOAD_IMAGE, START_IMAGE, BootFlow
from tdvfsh.uefi.device_path import DevicePath, FilePath
from tdvfsh.uefi.disk import Disk
from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_READY_TO_BOOT
from tdvfsh.uefi.status import SUCCESS, EfiStatus

PLACE: Final = "\\EFI\\BOOT\\BOOTX64.EFI"
DISK_LOADER: Final = "BOOTX64.EFI"
_PARTS: Final = tuple(PLACE.strip("\\").split("\\"))
_LARGEST: Final = 1 << 30


class DiskLoader(NamedTuple):
    """A boot loader on a disk.

    Attributes:
        path: Its device path.
        data: Its file.
    """

    path: DevicePath
    data: bytes


def disk_loader(disks: Sequence[Disk]) -> DiskLoader | None:
    """The boot loader of the first FAT volume that has one; None where no disk has.

    Raises:
        MissingError: The extra that reads partitions and FAT is not installed.
    """
    for port, disk in enumerate(disks):
        for partition, volume in fat_volumes(disk):
            try:
                info = volume.info(_PARTS)
                if info is None or info.is_directory or not 0 < info.size <= _LARGEST:
                    continue
                data = volume.read(_PARTS)
            except FileSystemError:  # the volume is damaged: firmware, too, goes on to the next one
                continue
            device = disk_path(port) if partition is None else disk_path(port) / partition.node
            return DiskLoader(device / FilePath(PLACE), data)
    return None


def run_disk_loader(firmware: GuestFirmware, flow: BootFlow, disks: Sequence[Disk]) -> EfiStatus:
    """What the boot manager does, and then the disk's boot loader itself.

    Args:
        firmware: Where.
        flow: Learns how far it has come.
        disks: The disks, in the order of their ports, one of which has a boot loader.

    Returns:
        What LoadImage or the loader returned; EFI_SUCCESS where the operating system was reached.
    """
    machine, services = firmware.machine, firmware.services
    for port, disk in enumerate(disks):
        attach_disk_with_volumes(machine, port, disk)
    player = FirmwarePlayer(services, machine.firmware_calls())
    with machine.trace.on_behalf_of("bds"):
        player.run_to("file-buffer")
        flow.stage = LOAD_IMAGE
        found = disk_loader(disks)
        if found is None:
            return EfiStatus.EFI_NOT_FOUND
        status, handle = services.load_image(True, machine.firmware_image, found.path)
        if status is not SUCCESS or handle is None:
            return status
        firmware.name_image(handle, DISK_LOADER)
        player.run_to_end()
        flow.stage = START_IMAGE
        firmware.core.events.signal_group(EFI_EVENT_GROUP_READY_TO_BOOT)
        return services.start_image(handle).status
