"""What loaders publish for others to find: the initrd by LoadFile2, files on a volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tdvfsh.accept.needs import Need
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import Pieces, joined_size
from tdvfsh.loaders.flow import LOAD_INITRD, BootFlow
from tdvfsh.loaders.media import BlobFileSystem, InitrdLoadFile2
from tdvfsh.uefi.device_path import DevicePath, FilePath, Pci, PciRoot, VenMedia
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_LOAD_FILE2_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
    LINUX_EFI_INITRD_MEDIA_GUID,
)
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import align_up

INITRD_MEDIA_PATH: Final = DevicePath((VenMedia(LINUX_EFI_INITRD_MEDIA_GUID),))
SYSTEM_PARTITION: Final = DevicePath((PciRoot(0), Pci(3, 0)))
"""A virtio disk with an EFI system partition on it, in the recordings' place."""
KERNEL_ON_DISK: Final = "linux"


def publish_initrd(
    flow: BootFlow, pieces: Pieces, on_read: Callable[[], None] = lambda: None, padding: int = 1
) -> int | None:
    """Offer an initrd by LoadFile2 where Linux's EFI stub looks for it; returns the handle.

    When the stub asks for the size it has chosen the kernel's place: the moment for a loader that accepts to do so.
    Where another driver offers one already, the older offer stays the one that is found, so it is withdrawn first. The
    file's size is a multiple of ``padding``.
    """
    services = flow.services
    withdraw_initrd(flow)
    handle = services.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, INITRD_MEDIA_PATH).handle
    size = align_up(joined_size(pieces), padding)
    needs = [Need("initrd", size, EfiMemoryType.EfiLoaderData)]

    def asked_for_size() -> None:
        flow.on_demand.before(services, LOAD_INITRD, needs)

    interface = InitrdLoadFile2(size, pieces, asked_for_size, on_read)
    services.install_protocol_interface(handle, EFI_LOAD_FILE2_PROTOCOL_GUID, interface)
    return handle


def offered_initrd(flow: BootFlow) -> tuple[int, InitrdLoadFile2] | None:
    """Handle and interface of the initrd that is on offer, or None."""
    handles = flow.services.handles
    status, device, _ = handles.locate_device_path(EFI_LOAD_FILE2_PROTOCOL_GUID, INITRD_MEDIA_PATH)
    if status.is_error or device is None:
        return None
    interface = handles.handle_protocol(device, EFI_LOAD_FILE2_PROTOCOL_GUID).interface
    return (device, interface) if isinstance(interface, InitrdLoadFile2) else None


def withdraw_initrd(flow: BootFlow) -> None:
    """Take an initrd that is on offer back."""
    found = offered_initrd(flow)
    if found is not None:
        for protocol in (EFI_LOAD_FILE2_PROTOCOL_GUID, EFI_DEVICE_PATH_PROTOCOL_GUID):
            flow.services.uninstall_protocol_interface(found[0], protocol)


def publish_volume(flow: BootFlow, path: DevicePath, files: Mapping[str, Pieces]) -> None:
    """A read-only volume with these files on the device ``path``."""
    services = flow.services
    handle = services.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, path).handle
    services.install_protocol_interface(handle, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, BlobFileSystem(files))


def publish_system_partition(flow: BootFlow) -> DevicePath:
    """Make the disk that kernel and initrds come from; returns the kernel's path."""
    files: dict[str, Pieces] = {KERNEL_ON_DISK: [(0, flow.files.kernel.view)]}
    for number, initrd in enumerate(flow.files.initrds):
        files[initrd_on_disk(number)] = [(0, initrd.view)]
    publish_volume(flow, SYSTEM_PARTITION, files)
    return SYSTEM_PARTITION / FilePath(KERNEL_ON_DISK)


def initrd_on_disk(number: int) -> str:
    """The name of the initrd of that number on the system partition."""
    return f"initrd{number or ''}.img"


def note_image(flow: BootFlow, handle: int | None, what: str = "image") -> None:
    """Remember where LoadImage put the image."""
    image = flow.services.images.loaded_image(handle)
    if image is not None:
        flow.place(what, image.image_base, image.image_size, image.image_code_type)


def start_with_initrds_on_disk(flow: BootFlow, handle: int) -> EfiStatus:
    """Start a loaded kernel whose command line names the initrds on the disk that it came from.

    Returns:
        StartImage's status; where it is an error the image is gone.
    """
    image = flow.services.images.loaded_image(handle)
    assert image is not None
    words = [f"initrd=\\{initrd_on_disk(number)}" for number in range(len(flow.files.initrds))]
    image.load_options = " ".join([*words, flow.files.cmdline]).rstrip()
    status = flow.services.start_image(handle).status
    if status.is_error:
        flow.mark_freed("image")
    return status
