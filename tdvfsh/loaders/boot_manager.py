"""The boot manager's part before a boot loader on a disk runs: read its file into a pool, place its image.

The boot manager is firmware: options 2 and 3 of the RFC teach loaders to accept, not it.

Source: edk2 MdeModulePkg BdsDxe and DxeCore LoadImage; what firmware allocates in between as recorded
(:mod:`tdvfsh.td.footprint`).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.firmware_player import FirmwarePlayer
from tdvfsh.loaders.flow import LOAD_IMAGE, BootFlow, shortage
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE, align_up, pages_for

_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData


def load_from_disk(flow: BootFlow, what: str, file_size: int, image_size: int, image_base: int = 0) -> EfiStatus:
    """BDS's LoadImage of a boot loader of which only the calls are modelled.

    Args:
        flow: The boot.
        what: The placement's name and the word for it: ``grub``, ``sd-boot``.
        file_size: Bytes of its file.
        image_size: Bytes of its image (SizeOfImage).
        image_base: Where its image would like to lie; 0 for no wish.

    Returns:
        EFI_NOT_FOUND: The file's buffer found no room; LoadImage hides why.
        EFI_OUT_OF_RESOURCES: The image's pages found no room.
    """
    flow.stage = LOAD_IMAGE
    services = flow.services
    player = FirmwarePlayer(services, flow.firmware_calls)
    with services.trace.on_behalf_of("bds"):
        player.run_to("file-buffer")
        status, buffer = services.allocate_pool(_BS_DATA, file_size)
        if status is not SUCCESS or not buffer:
            why = f"the firmware has no room for {what}'s file: {shortage(services, file_size)}"
            return flow.fail(service_names.LOAD_IMAGE, EfiStatus.EFI_NOT_FOUND, file_size, why)
        player.run_to("image")
        status, start = EfiStatus.EFI_NOT_FOUND, 0
        pages = pages_for(image_size)
        if image_base:
            status, start = services.allocate_pages(EfiAllocateType.AllocateAddress, _LOADER_CODE, pages, image_base)
        if status.is_error:
            status, start = services.allocate_pages(EfiAllocateType.AllocateAnyPages, _LOADER_CODE, pages, 0)
        if status is SUCCESS:
            flow.place(what, start, align_up(image_size, PAGE_SIZE), _LOADER_CODE)
        services.free_pool(buffer)
        if status.is_error:
            why = f"{what}'s own image found no room: {shortage(services, image_size)}"
            return flow.fail(service_names.LOAD_IMAGE, status, image_size, why)
        player.run_to_end()
    return SUCCESS
