"""One EFI program of the host's, run in a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tdvfsh.engine.block_io import ImageDisk
from tdvfsh.engine.devices import attach_disk, attach_volume, disk_path
from tdvfsh.engine.firmware import GuestFirmware
from tdvfsh.engine.volumes import ViewVolume, Volume
from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.uefi.device_path import FilePath
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_READY_TO_BOOT
from tdvfsh.uefi.status import SUCCESS, EfiStatus


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """How a program ended: LoadImage's status, and what the program gave back."""

    load_status: EfiStatus
    exit_code: int

    @property
    def succeeded(self) -> bool:
        """Whether it ran and returned EFI_SUCCESS."""
        return self.load_status is SUCCESS and self.exit_code == 0


def attach_disks(firmware: GuestFirmware, disks: Sequence[Volume | memoryview]) -> None:
    """Give the machine its disks, in the order of their SATA ports."""
    for port, disk in enumerate(disks):
        if isinstance(disk, memoryview):
            attach_disk(firmware.machine, port, ImageDisk(disk))
        else:
            attach_volume(firmware.machine, port, disk)


def run_program(
    firmware: GuestFirmware, path: str, arguments: Sequence[str] = (), port: int | None = None
) -> ProgramEnd:
    """Load a file and start it; it comes from a disk of its own behind the others.

    Args:
        firmware: Where.
        path: The host's file.
        arguments: Its load options are the file's name and these.
        port: SATA port of its disk; without one it is loaded from memory and has no device.

    Raises:
        HostError, FormatError: The file cannot be read.
        GuestStopped, GuestIdle, GuestReset: It did not come to its own end.
    """
    name = Path(path).name
    mapped = open_mapped(path)
    if not mapped.size:
        raise FormatError(path, "the file is empty")
    services = firmware.services
    if port is not None:
        attach_volume(firmware.machine, port, ViewVolume({f"\\{name}": mapped.view}))
        device_path = disk_path(port) / FilePath(f"\\{name}")
        status, handle = services.load_image(False, firmware.machine.firmware_image, device_path)
    else:
        status, handle = services.load_image(False, firmware.machine.firmware_image, None, mapped.view)
    image = services.images.loaded_image(handle)
    if status is not SUCCESS or image is None or handle is None:
        return ProgramEnd(status, 0)
    firmware.name_image(handle, name)
    image.load_options = " ".join((name, *arguments))
    firmware.core.events.signal_group(EFI_EVENT_GROUP_READY_TO_BOOT)
    firmware.image_services.exit_code = 0
    result = services.start_image(handle).status
    code = firmware.image_services.exit_code
    return ProgramEnd(SUCCESS, code if code or result is SUCCESS else int(result))
