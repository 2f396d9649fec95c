"""``initrd``: offer an initrd to Linux's EFI stub.

Source: edk2 OvmfPkg/LinuxInitrdDynamicShellCommand/LinuxInitrdDynamicShellCommand.c.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, NamedTuple
from tdvfsh.loaders.media import InitrdLoadFile2
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.uefi.device_path import DevicePath, VenMedia
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_LOAD_FILE2_PROTOCOL_GUID,
    LINUX_EFI_INITRD_MEDIA_GUID,
)
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import human_size, pages_for

if TYPE_CHECKING:
    from tdvfsh.dxe.boot_services import BootServices
    from tdvfsh.shell.drives.search import Found
    from tdvfsh.shell.shell import Shell

INITRD_MEDIA_PATH = DevicePath((VenMedia(LINUX_EFI_INITRD_MEDIA_GUID),))


class BufferedInitrd(InitrdLoadFile2):
    """An initrd that stands in ``pages`` pages at ``address`` until it is taken back."""

    def __init__(self, view: memoryview, address: int, pages: int) -> None:
        super().__init__(len(view), [(0, view)])
        self.address = address
        self.pages = pages


class _Offer(NamedTuple):
    handle: int
    interface: object


@command("initrd", profile="td")
def initrd(shell: Shell, file: FilePath | None = None, *, u: Flag = False) -> ShellStatus:
    """Offer an initrd to the EFI stub of a Linux kernel.

    SYNOPSIS:
        initrd file
        initrd -u

    OPTIONS:
        file: The initrd. It takes the place of one that was offered before.
        -u: Take it back.

    DESCRIPTION:
        The file goes into pages of type LoaderData, and LoadFile2 on the LINUX_EFI_INITRD_MEDIA_GUID device path hands
        it out, as OVMF's command of this name does it.

    EXAMPLES:
        initrd initrd.img
        initrd -u

    RETURNVALUES:
        SUCCESS: Offered, or withdrawn; also where there was none.
        NOT_FOUND: There is no such file, it is empty, or, as OVMF has it, there was no memory for it.
        UNSUPPORTED: Another driver offers an initrd already.
    """
    if file is None and not u:
        shell.print("initrd: Too few arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    services = machine_of(shell).services
    offer = _current_offer(services)
    if offer is not None and not isinstance(offer.interface, BufferedInitrd):
        shell.print("initrd: Another driver offers an initrd already.\n")
        return ShellStatus.UNSUPPORTED
    if file is None:
        _take_back(services, offer)
        return ShellStatus.SUCCESS
    found = [item for item in shell.find_files(file) if not item.info.is_directory]
    if not found:
        shell.print(f"initrd: File not found - '{file}'\n")
        return ShellStatus.NOT_FOUND
    _take_back(services, offer)
    why = _offer(shell, services, found[0])
    if why:
        shell.print(f"initrd: Cannot open file - '{file}' ({why})\n")
        return ShellStatus.NOT_FOUND
    return ShellStatus.SUCCESS


def _current_offer(services: BootServices) -> _Offer | None:
    status, handle, _ = services.handles.locate_device_path(EFI_LOAD_FILE2_PROTOCOL_GUID, INITRD_MEDIA_PATH)
    if status is not SUCCESS or handle is None:
        return None
    return _Offer(handle, services.handles.protocols(handle)[EFI_LOAD_FILE2_PROTOCOL_GUID])


def _take_back(services: BootServices, offer: _Offer | None) -> None:
    if offer is None or not isinstance(offer.interface, BufferedInitrd):
        return
    services.free_pages(offer.interface.address, offer.interface.pages)
    services.uninstall_protocol_interface(offer.handle, EFI_LOAD_FILE2_PROTOCOL_GUID)
    services.uninstall_protocol_interface(offer.handle, EFI_DEVICE_PATH_PROTOCOL_GUID)


def _offer(shell: Shell, services: BootServices, item: Found) -> str:
    """Put the file into memory and offer it; returns why that failed, or an empty text."""
    from tdvfsh.shell.images_on_drives import file_views

    try:
        view = file_views(shell).view(item.filesystem, item.parts)
    except FileSystemError as error:
        return error.status.phrase
    if not view:
        return "the file is empty"
    pages = pages_for(len(view))
    kind = EfiAllocateType.AllocateAnyPages
    status, address = services.allocate_pages(kind, EfiMemoryType.EfiLoaderData, pages, 0)
    if status is EfiStatus.EFI_OUT_OF_RESOURCES:
        return f"{status.phrase}: no {human_size(len(view))} in one piece"
    if status is not SUCCESS:
        return status.phrase
    services.contents.map_view(address, view)
    handle = services.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, INITRD_MEDIA_PATH).handle
    services.install_protocol_interface(handle, EFI_LOAD_FILE2_PROTOCOL_GUID, BufferedInitrd(view, address, pages))
    return ""
