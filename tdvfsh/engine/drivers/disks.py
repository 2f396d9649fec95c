"""Disks, partitions and file systems as the drivers that manage them see them.

They are attached to the machine whole; here the drivers take them over, as if they had started on them.

Source: `openinfo` of OVMF 2025.02 (tests/recordings/drivers), for who opens what; edk2 MdeModulePkg/Bus/Ata/AtaBusDxe,
MdeModulePkg/Universal/Disk and FatPkg for names.
"""

from __future__ import annotations

from collections.abc import Mapping

from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.engine.drivers.binding import Device, FirmwareBinding, Interfaces, MadeChild
from tdvfsh.engine.drivers.sata import MODEL, SataPorts
from tdvfsh.engine.storage.volumes import OnVolume
from tdvfsh.uefi.device_path import DevicePath, HardDrive, Sata
from tdvfsh.uefi.disk import Disk
from tdvfsh.uefi.guids import (
    EFI_BLOCK_IO_PROTOCOL_GUID,
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_DISK_IO_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
    Guid,
)

_FILE_SYSTEM_NAME = "FAT File System"


class DiskDrivers:
    """The drivers of disks.

    Args:
        interfaces: The handle database.
        ports: The ports of the SATA controller.
        ata_bus: Makes disks of the controller.
        disk_io: Manages each disk and partition.
        partition: Makes partitions of a disk.
        fat: Manages each with a file system.
    """

    def __init__(
        self,
        interfaces: Interfaces,
        ports: SataPorts,
        *,
        ata_bus: FirmwareBinding,
        disk_io: FirmwareBinding,
        partition: FirmwareBinding,
        fat: FirmwareBinding,
    ) -> None:
        self._interfaces = interfaces
        self._ports = ports
        self._ata_bus = ata_bus
        self._disk_io = disk_io
        self._partition = partition
        self._fat = fat
        self._known: list[Disk] = []

    @property
    def _handles(self) -> HandleDatabase:
        return self._interfaces.handles

    def take_over(self) -> None:
        """Manage what has been attached since the last time."""
        for handle in self._handles.locate_handles(EFI_BLOCK_IO_PROTOCOL_GUID):
            protocols = self._handles.protocols(handle)
            disk, path = protocols[EFI_BLOCK_IO_PROTOCOL_GUID], protocols.get(EFI_DEVICE_PATH_PROTOCOL_GUID)
            if isinstance(disk, Disk) and isinstance(path, DevicePath) and not any(disk is one for one in self._known):
                self._known.append(disk)
                self._manage(handle, disk, path, protocols)

    def _manage(self, handle: int, disk: Disk, path: DevicePath, protocols: Mapping[Guid, object]) -> None:
        disk_io, volume = (
            protocols.get(guid) for guid in (EFI_DISK_IO_PROTOCOL_GUID, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID)
        )
        own = {EFI_DEVICE_PATH_PROTOCOL_GUID: path, EFI_BLOCK_IO_PROTOCOL_GUID: disk}
        is_partition = isinstance(path.nodes[-1], HardDrive)
        child = MadeChild(self._interfaces, own, None if is_partition else MODEL)
        if isinstance(path.nodes[-1], Sata):
            self._ports.disks[path.nodes[-1].port] = disk
        parent = self._parent(path)
        bus = self._partition if is_partition else self._ata_bus
        if parent is not None:
            device = bus.device_of(parent)
            if device is None:
                device = Device(interface=self._handles.protocols(parent).get(bus.consumes))
                bus.adopt(parent, device, {})
            bus.adopt_child(parent, device, child, handle)
        if disk_io is not None:
            self._disk_io.adopt(handle, Device(interface=disk, produces={EFI_DISK_IO_PROTOCOL_GUID: disk_io}), {})
        if isinstance(volume, OnVolume):
            made: dict[Guid, object] = {EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID: volume}
            self._fat.adopt(handle, Device(interface=disk_io, produces=made, name=_FILE_SYSTEM_NAME), {})

    def _parent(self, path: DevicePath) -> int | None:
        """The handle of the controller that a disk or partition is behind."""
        above = path.nodes[:-1]
        return next(
            (
                handle
                for handle in self._handles.locate_handles(EFI_DEVICE_PATH_PROTOCOL_GUID)
                if isinstance(own := self._handles.protocols(handle)[EFI_DEVICE_PATH_PROTOCOL_GUID], DevicePath)
                and own.nodes == above
            ),
            None,
        )
