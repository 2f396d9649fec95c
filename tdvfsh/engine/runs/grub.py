"""A disk from which a real GRUB boots a kernel, and GRUB's part of such a boot.

Source: a signed grubx64.efi reads ``grub.cfg`` in the folder that its prefix names (Debian's: ``\\EFI\\debian``),
of the disk that it was loaded from; GRUB grub-core/normal/main.c shows its command line where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.storage.disks import attach_disk, attach_volume, disk_path
from tdvfsh.engine.storage.volumes import ViewVolume
from tdvfsh.errors import FormatError
from tdvfsh.formats.boot_loader import GRUB as LOADER_KIND
from tdvfsh.formats.boot_loader import read_boot_loader
from tdvfsh.formats.mapped import Buffer
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.firmware_player import FirmwarePlayer
from tdvfsh.uefi.device_path import FilePath
from tdvfsh.uefi.disk import Disk
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_READY_TO_BOOT
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus

GRUB: Final = "grub"
_USUAL_PREFIX: Final = "/EFI/debian"
_PROMPTS: Final = ("grub>", "grub rescue>")
_KERNEL: Final = "vmlinuz"
_INITRD: Final = "initrd{number}.img"
_CODE: Final = EfiMemoryType.EfiLoaderCode
_DATA: Final = EfiMemoryType.EfiLoaderData


def grub_prefix(grub: Buffer, path: str) -> str | None:
    """Folder in which a GRUB looks for its configuration; None where the file is not a GRUB."""
    try:
        loader = read_boot_loader(grub, path)
    except FormatError:
        return None
    return (loader.prefix or _USUAL_PREFIX) if loader.kind == LOADER_KIND else None


def why_grub_waits(lines: Iterable[str], prefix: str | None) -> str | None:
    """Why a GRUB waits for keys.

    Args:
        lines: The screen.
        prefix: As :func:`grub_prefix` returned it.

    Returns:
        A sentence where GRUB shows its command line, else None.
    """
    if prefix is None or not any(line.strip().startswith(_PROMPTS) for line in lines):
        return None
    return f"GRUB shows its command line: it has found no configuration; it looks for {prefix}/grub.cfg on its own disk"


def boot_disk(grub: memoryview, files: BootFiles) -> ViewVolume:
    """GRUB, its configuration, the kernel and the initrds."""
    folder = _folder(grub)
    tree = {
        f"{folder}\\grubx64.efi": grub,
        f"{folder}\\grub.cfg": memoryview(grub_cfg(files).encode()),
        f"\\{_KERNEL}": files.kernel.view,
    }
    for number, initrd in enumerate(files.initrds):
        tree["\\" + _INITRD.format(number=number)] = initrd.view
    return ViewVolume(tree)


def _folder(grub: memoryview) -> str:
    return (grub_prefix(grub, GRUB) or _USUAL_PREFIX).rstrip("/").replace("/", "\\")


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


def run_grub(firmware: GuestFirmware, grub: memoryview, files: BootFiles, disks: Sequence[Disk] = ()) -> EfiStatus:
    """What the boot manager does, and then GRUB itself.

    Args:
        firmware: Where.
        grub: GRUB's image.
        files: What it boots, on a disk that is made.
        disks: Further disks that it sees; it finds their partitions by itself.

    Returns:
        What LoadImage or GRUB returned; EFI_SUCCESS where the operating system was reached.
    """
    machine, services = firmware.machine, firmware.services
    attach_volume(machine, 0, boot_disk(grub, files))
    for port, disk in enumerate(disks, 1):
        attach_disk(machine, port, disk)
    player = FirmwarePlayer(services, machine.firmware_calls())
    with machine.trace.on_behalf_of("bds"):
        player.run_to("file-buffer")
        path = disk_path(0) / FilePath(f"{_folder(grub)}\\grubx64.efi")
        status, handle = services.load_image(True, machine.firmware_image, path)
        if status is not SUCCESS or handle is None:
            return status
        firmware.name_image(handle, GRUB)
        player.run_to_end()
        firmware.core.events.signal_group(EFI_EVENT_GROUP_READY_TO_BOOT)
        return services.start_image(handle).status
