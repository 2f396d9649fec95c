"""GUIDs by the names that the specifications and edk2 give them."""

from __future__ import annotations

from typing import Final
from uuid import UUID

Guid = UUID
"""An EFI_GUID; ``Guid(...).bytes_le`` is its form in memory."""

EFI_LOADED_IMAGE_PROTOCOL_GUID: Final = Guid("5b1b31a1-9562-11d2-8e3f-00a0c969723b")
EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID: Final = Guid("bc62157e-3e33-4fec-9920-2d3b36d750df")
EFI_DEVICE_PATH_PROTOCOL_GUID: Final = Guid("09576e91-6d3f-11d2-8e39-00a0c969723b")
EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID: Final = Guid("964e5b22-6459-11d2-8e39-00a0c969723b")
EFI_LOAD_FILE_PROTOCOL_GUID: Final = Guid("56ec3091-954c-11d2-8e3f-00a0c969723b")
EFI_LOAD_FILE2_PROTOCOL_GUID: Final = Guid("4006c0c1-fcb3-403e-996d-4a6c8724e06d")
EFI_BLOCK_IO_PROTOCOL_GUID: Final = Guid("964e5b21-6459-11d2-8e39-00a0c969723b")
EFI_DISK_IO_PROTOCOL_GUID: Final = Guid("ce345171-ba0b-11d2-8e4f-00a0c969723b")
EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID: Final = Guid("387477c2-69c7-11d2-8e39-00a0c969723b")
EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID: Final = Guid("387477c1-69c7-11d2-8e39-00a0c969723b")
EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL_GUID: Final = Guid("dd9e7534-7762-4698-8c14-f58517a625aa")
EFI_CC_MEASUREMENT_PROTOCOL_GUID: Final = Guid("96751a3d-72f4-41a6-a794-ed5d0e67ae6b")

EDKII_MEMORY_ACCEPT_PROTOCOL_GUID: Final = Guid("38c74800-5590-4db4-a0f3-675d9b8e8026")
"""MdePkg/Include/Protocol/MemoryAccept.h; in edk2-staging the same GUID was EFI_MEMORY_ACCEPT_PROTOCOL."""

OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID: Final = Guid("c5a010fe-38a7-4531-8a4a-0500d2fd1649")
QEMU_KERNEL_LOADER_FS_MEDIA_GUID: Final = Guid("1428f772-b64a-441e-b8c3-9ebdd7f893c7")
LINUX_EFI_INITRD_MEDIA_GUID: Final = Guid("5568e427-68fc-4f3d-ac74-ca555231cc68")
LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID: Final = Guid("d5d1de3c-105c-44f9-9ea9-bcef98120031")
LINUX_EFI_BOOT_MEMMAP_GUID: Final = Guid("800f683f-d08b-423a-a293-965c3c6fe2b4")
EFI_MEMORY_TYPE_INFORMATION_GUID: Final = Guid("4c19049f-4137-4dd3-9c10-8b97a83ffdfa")
SHELL_VARIABLE_GUID: Final = Guid("158def5a-f656-419c-b027-7a3192c079d2")
SHELL_ALIAS_GUID: Final = Guid("0053d9d6-2659-4599-a26b-ef4536e631a9")
EFI_GLOBAL_VARIABLE_GUID: Final = Guid("8be4df61-93ca-11d2-aa0d-00e098032b8c")
EFI_MEMORY_ATTRIBUTES_TABLE_GUID: Final = Guid("dcfa911d-26eb-469f-a220-38b7dc461220")

EFI_EVENT_GROUP_EXIT_BOOT_SERVICES: Final = Guid("27abf055-b1b8-4c26-8048-748f37baa2df")
EFI_EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES: Final = Guid("8be0e274-3970-4b44-80c5-1ab9502f3bfc")
EFI_EVENT_GROUP_MEMORY_MAP_CHANGE: Final = Guid("78bee926-692f-48fd-9edb-01422ef0d7ab")
EFI_EVENT_GROUP_READY_TO_BOOT: Final = Guid("7ce88fb3-4bd7-4679-87a8-a8d8dee50d2b")
EFI_EVENT_GROUP_EXIT_BOOT_SERVICES_FAILED: Final = Guid("4f6c5507-232f-4787-b95e-72f862490cb1")
EFI_EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE: Final = Guid("13fa7698-c831-49c7-87ea-8f43fcc25196")

_NAMES: Final = {
    value: name
    for name, value in list(globals().items())
    if isinstance(value, UUID) and name.endswith("_GUID") or name.startswith("EFI_EVENT_GROUP_")
}


def guid_name(guid: Guid) -> str:
    """The constant's name where one is known, else the GUID in upper case as firmware prints it."""
    return _NAMES.get(guid, str(guid).upper())
