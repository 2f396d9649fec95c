"""A disk from which a real GRUB boots a kernel, and GRUB's part of such a boot.

Source: Debian's signed grubx64.efi reads ``\\EFI\\debian\\grub.cfg`` of the disk that it was loaded from.
"""

from __future__ import annotations

from typing import Final

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.storage.disks import attach_volume, disk_path
from tdvfsh.engine.storage.volumes import ViewVolume
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import FirmwarePlayer
from tdvfsh.uefi.device_path import FilePath
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_READY_TO_BOOT
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus

GRUB: Final = "grub"
_FOLDER: Final = "\\EFI\\debian"
_KERNEL: Final = "vmlinuz"
_INITRD: Final = "initrd{number}.img"
_CODE: Final = EfiMemoryType.EfiLoaderCode
_DATA: Final = EfiMemoryType.EfiLoaderData


def boot_disk(grub: memoryview, files: BootFiles) -> ViewVolume:
    """GRUB, its configuration, the kernel and the initrds."""
    tree = {
        f"{_FOLDER}\\grubx64.efi": grub,
        f"{_FOLDER}\\grub.cfg": memoryview(grub_cfg(files).encode()),
        f"\\{_KERNEL}": files.kernel.view,
    }
    for number, initrd in enumerate(files.initrds):
        tree["\\" + _INITRD.format(number=number)] = initrd.view
    return ViewVolume(tree)


def grub_cfg(files: BootFiles) -> str:
    """GRUB's configuration: load, boot, and exit where that fails."""
    words = " ".join(_quoted(word) for word in files.cmdline.split())
    lines = [f"linux /{_KERNEL} {words}".rstrip()]
    if files.initrds:
        names = " ".join("/" + _INITRD.format(number=number) for number in range(len(files.initrds)))
        lines.append(f"initrd {names}")
    return "\n".join([*lines, "boot", "exit 1", ""])


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def run_grub(firmware: GuestFirmware, grub: memoryview, files: BootFiles) -> EfiStatus:
    """What the boot manager does, and then GRUB itself.

    Returns:
        What LoadImage or GRUB returned; EFI_SUCCESS where the operating system was reached.
    """
    machine, services = firmware.machine, firmware.services
    attach_volume(machine, 0, boot_disk(grub, files))
    player = FirmwarePlayer(services, machine.firmware_calls)
    with machine.trace.on_behalf_of("bds"):
        player.run_to("file-buffer")
        path = disk_path(0) / FilePath(f"{_FOLDER}\\grubx64.efi")
        status, handle = services.load_image(True, machine.firmware_image, path)
        if status is not SUCCESS or handle is None:
            return status
        firmware.name_image(handle, GRUB)
        player.run_to_end()
        firmware.core.events.signal_group(EFI_EVENT_GROUP_READY_TO_BOOT)
        return services.start_image(handle).status
