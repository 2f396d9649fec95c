"""Disks of a machine: volumes and disk images on handles, with device paths as the shell's drives have them."""

from __future__ import annotations

from tdvfsh.engine.storage.fat import FatDisk
from tdvfsh.engine.storage.volumes import VolumeFileSystem
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.uefi.device_path import DevicePath, Pci, PciRoot, Sata
from tdvfsh.uefi.disk import Disk
from tdvfsh.uefi.guids import (
    EFI_BLOCK_IO_PROTOCOL_GUID,
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_DISK_IO_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
)
from tdvfsh.uefi.volume import Volume

if TYPE_CHECKING:
    from tdvfsh.machine.machine import Machine

_AHCI: Final = Pci(0x1F, 2)


def disk_path(port: int) -> DevicePath:
    """The device path of the disk at a SATA port."""
    return DevicePath((PciRoot(0), _AHCI, Sata(port)))


def attach_volume(machine: Machine, port: int, volume: Volume) -> int:
    """A disk that is a volume: a file system, and a FAT disk made from it; returns the handle."""
    handle = attach_disk(machine, port, FatDisk(volume))
    machine.services.handles.install_protocol_interface(
        handle, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, VolumeFileSystem(volume)
    )
    return handle


def attach_disk(machine: Machine, port: int, disk: Disk) -> int:
    """A bare disk; returns the handle."""
    return _attach(machine, disk_path(port), disk)


def attach_disk_with_volumes(machine: Machine, port: int, disk: Disk) -> int:
    """A disk, its partitions on handles of their own, and a file system where there is a FAT volume.

    That is what firmware's own drivers make of it; here nothing is written, whatever the disk allows.

    Raises:
        MissingError: The extra that reads them is not installed.
    """
    from tdvfsh.engine.storage.partitions import fat_volume, partitions

    whole = _attach(machine, disk_path(port), disk)
    found = partitions(disk)
    places = [(_attach(machine, disk_path(port) / each.node, each), fat_volume(each)) for each in found]
    for handle, volume in places or [(whole, fat_volume(disk))]:
        if volume is not None:
            machine.services.handles.install_protocol_interface(
                handle, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, VolumeFileSystem(volume)
            )
    return whole


def _attach(machine: Machine, path: DevicePath, disk: Disk) -> int:
    handles = machine.services.handles
    handle = handles.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, path).handle
    assert handle is not None
    handles.install_protocol_interface(handle, EFI_BLOCK_IO_PROTOCOL_GUID, disk)
    handles.install_protocol_interface(handle, EFI_DISK_IO_PROTOCOL_GUID, disk)
    return handle
