"""One EFI program of the host's, run in a machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tdvfsh.engine.errors import ReachedOperatingSystem
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.runs.observer import CodeRange, RunObserver
from tdvfsh.engine.storage.disks import attach_disk, attach_disk_with_volumes, attach_volume, disk_path
from tdvfsh.engine.storage.volumes import ViewVolume
from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.uefi.device_path import FilePath
from tdvfsh.uefi.disk import Disk
from tdvfsh.uefi.guids import EFI_BLOCK_IO_PROTOCOL_GUID, EFI_EVENT_GROUP_READY_TO_BOOT
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.volume import Volume


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """Outcome of a program: LoadImage's status, what it returned, and whether it made way for an operating system."""

    load_status: EfiStatus
    exit_code: int
    reached_system: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether it ran and returned EFI_SUCCESS."""
        return self.load_status is SUCCESS and self.exit_code == 0


class ProgramRun(RunObserver):
    """Observer of a run that ends when the program makes way for an operating system."""

    def left_boot_services(self) -> CodeRange | None:
        """End the run."""
        raise ReachedOperatingSystem


def attach_disks(firmware: GuestFirmware, disks: Sequence[Volume | Disk], bare: bool = True) -> None:
    """Attach the machine's disks, in the order of their SATA ports.

    Args:
        firmware: The machine.
        disks: The disks.
        bare: Whether drivers are left to find the partitions and FAT volumes of disk images.

    Raises:
        MissingError: They are not, and the extra that finds them is not installed.
    """
    attach = attach_disk if bare else attach_disk_with_volumes
    for port, disk in enumerate(disks):
        if isinstance(disk, Disk):
            attach(firmware.machine, port, disk)
        else:
            attach_volume(firmware.machine, port, disk)


def run_program(
    firmware: GuestFirmware, path: str, arguments: Sequence[str] = (), place: tuple[int, str] | None = None
) -> ProgramEnd:
    """Load a file of the host and start it.

    Args:
        firmware: Where; with :class:`ProgramRun` for observer the run ends when an operating system takes over.
        path: The file.
        arguments: Its load options are the file's name and these.
        place: SATA port and backslash path to load it from; a port without a disk gets one that holds the file alone.
            Without a place it is loaded from memory and has no device.

    Raises:
        HostError, FormatError: The file cannot be read.
        GuestStopped, GuestIdle, GuestReset: It did not end by itself.
    """
    machine, services = firmware.machine, firmware.services
    mapped = open_mapped(path)
    if not mapped.size:
        raise FormatError(path, "the file is empty")
    if place is not None:
        port, inner = place
        if services.handles.locate_device_path(EFI_BLOCK_IO_PROTOCOL_GUID, disk_path(port))[0].is_error:
            attach_volume(machine, port, ViewVolume({inner: mapped.view}))
        status, handle = services.load_image(False, machine.firmware_image, disk_path(port) / FilePath(inner))
    else:
        status, handle = services.load_image(False, machine.firmware_image, None, mapped.view)
    image = services.images.loaded_image(handle)
    if status is not SUCCESS or image is None or handle is None:
        return ProgramEnd(status, 0)
    name = Path(path).name
    firmware.name_image(handle, name)
    firmware.code.folder = Path(path).parent
    image.load_options = " ".join((name, *arguments))
    firmware.core.events.signal_group(EFI_EVENT_GROUP_READY_TO_BOOT)
    firmware.image_services.exit_code = 0
    result = services.start_image(handle).status
    code = firmware.image_services.exit_code
    return ProgramEnd(SUCCESS, code if code or result is SUCCESS else int(result), services.at_runtime)
