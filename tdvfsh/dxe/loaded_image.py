"""EFI_LOADED_IMAGE_PROTOCOL and what the core keeps beside it.

Source: UEFI 2.10 9.1; edk2 MdeModulePkg/Core/Dxe/Image/Image.h.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.formats.pe.parse import PeImage
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import EfiStatus


@dataclass(slots=True)
class LoadedImage:
    """An image in memory.

    Attributes:
        parent_handle: The caller of LoadImage.
        device_handle: The device it came from, if any.
        file_path: The rest of its device path after the device.
        image_base: Byte address, aligned as the image's sections ask.
        image_size: Bytes: SizeOfImage and what a CodeView record adds.
        image_code_type: Memory type of the whole block.
        image_data_type: Memory type of what the image allocates for data.
        page_base: Where the block begins; below ``image_base`` where alignment moved it.
        number_of_pages: 4 KiB pages of the block.
        entry_point: Byte address; 0 where the header's lies outside the image.
        pe: The headers; None for the firmware's own image.
        source: The file's bytes.
        private_data: Pool buffer of the core's own record.
        runtime_data: A runtime driver's pool buffer for its entry in the list of runtime images; 0 for other images.
        load_options: The command line.
        started: Whether StartImage entered it.
        unload: The image's own Unload function.
    """

    parent_handle: int
    device_handle: int | None
    file_path: DevicePath | None
    image_base: int
    image_size: int
    image_code_type: EfiMemoryType
    image_data_type: EfiMemoryType
    page_base: int
    number_of_pages: int
    entry_point: int
    pe: PeImage | None
    source: memoryview
    private_data: int
    runtime_data: int = 0
    load_options: str = ""
    started: bool = False
    unload: Callable[[], EfiStatus] | None = None


def own_image(parent_handle: int, device_handle: int | None = None, file_path: DevicePath | None = None) -> LoadedImage:
    """An image that is the firmware's own, and runs: its bytes and its place are the footprint's, not the core's.

    Args:
        parent_handle: As in :class:`LoadedImage`.
        device_handle: As there.
        file_path: As there.
    """
    return LoadedImage(
        parent_handle=parent_handle,
        device_handle=device_handle,
        file_path=file_path,
        image_base=0,
        image_size=0,
        image_code_type=EfiMemoryType.EfiBootServicesCode,
        image_data_type=EfiMemoryType.EfiBootServicesData,
        page_base=0,
        number_of_pages=0,
        entry_point=0,
        pe=None,
        source=memoryview(b""),
        private_data=0,
        started=True,
    )
