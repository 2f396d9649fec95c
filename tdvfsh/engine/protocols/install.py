"""The protocols that firmware itself offers to guest code, and how their structures are built."""

from __future__ import annotations

import struct

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.dxe.memory_attribute_protocol import MemoryAttributeProtocol
from tdvfsh.dxe.protocols import MemoryAccept, SimpleFileSystem
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.abi.system_table import SystemTables
from tdvfsh.engine.protocols.block_io import BlockIoProtocol
from tdvfsh.engine.protocols.decompress import DecompressProtocol
from tdvfsh.engine.protocols.device_path import DevicePathProtocols
from tdvfsh.engine.protocols.hii import HiiProtocols
from tdvfsh.engine.protocols.hii_resources import hii_package_list
from tdvfsh.engine.protocols.load_file import LoadFile2Protocol, PiecedFile
from tdvfsh.engine.protocols.memory_attribute import GuestMemoryAttributes
from tdvfsh.engine.protocols.rng import RandomNumbers
from tdvfsh.engine.protocols.simple_file_system import FileSystemProtocol
from tdvfsh.engine.protocols.text_console import Console, ConsoleHandles, install_console
from tdvfsh.engine.protocols.unicode_collation import UnicodeCollation
from tdvfsh.engine.storage.volumes import NamedFiles, OnVolume
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.disk import Disk
from tdvfsh.uefi.guids import (
    EDKII_MEMORY_ACCEPT_PROTOCOL_GUID,
    EFI_BLOCK_IO_PROTOCOL_GUID,
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_DISK_IO_PROTOCOL_GUID,
    EFI_HII_PACKAGE_LIST_PROTOCOL_GUID,
    EFI_LOAD_FILE2_PROTOCOL_GUID,
    EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID,
    EFI_LOADED_IMAGE_PROTOCOL_GUID,
    EFI_MEMORY_ATTRIBUTE_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
)
from tdvfsh.uefi.status import EfiStatus

_LOADED_IMAGE_REVISION: Final = 0x1000
_UNLOAD_OFFSET: Final = 88
_EMPTY_IMAGE_SIZE: Final = 0x200
_PE_OFFSET: Final = 0x40
_SUBSYSTEM_DRIVER: Final = 11


class MemoryAcceptProtocol:
    """EDKII_MEMORY_ACCEPT_PROTOCOL."""

    def __init__(self, interface: MemoryAccept) -> None:
        self._interface = interface

    @service("EDKII_MEMORY_ACCEPT_PROTOCOL.AcceptMemory", "qqq", own_record=True)
    def accept_memory(self, this: int, start_address: int, size: int) -> EfiStatus:
        """Accept; the memory map does not learn of it."""
        return self._interface.accept_memory(start_address, size)


def install_firmware_protocols(context: GuestContext, tables: SystemTables, console: Console) -> ConsoleHandles:
    """Register every builder, make the firmware's handles, and write the system table; returns the console."""
    interfaces = context.interfaces

    def memory_accept(handle: int, interface: object) -> int | None:
        if not isinstance(interface, MemoryAccept):
            return None
        return interfaces.structure([MemoryAcceptProtocol(interface).accept_memory])

    def device_path(handle: int, interface: object) -> int | None:
        if interface is None:
            return 0
        return interfaces.structure([interface.pack()]) if isinstance(interface, DevicePath) else None

    interfaces.register(EDKII_MEMORY_ACCEPT_PROTOCOL_GUID, memory_accept)
    interfaces.register(EFI_DEVICE_PATH_PROTOCOL_GUID, device_path)
    interfaces.register(EFI_LOADED_IMAGE_DEVICE_PATH_PROTOCOL_GUID, device_path)
    interfaces.register(
        EFI_LOADED_IMAGE_PROTOCOL_GUID,
        lambda handle, image: _loaded_image(context, tables, image) if isinstance(image, LoadedImage) else None,
    )
    interfaces.register(EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, lambda handle, thing: _file_system(context, thing))
    interfaces.register(
        EFI_BLOCK_IO_PROTOCOL_GUID,
        lambda handle, disk: BlockIoProtocol(context, disk).block_io() if isinstance(disk, Disk) else None,
    )
    interfaces.register(
        EFI_DISK_IO_PROTOCOL_GUID,
        lambda handle, disk: BlockIoProtocol(context, disk).disk_io() if isinstance(disk, Disk) else None,
    )
    interfaces.register(
        EFI_MEMORY_ATTRIBUTE_PROTOCOL_GUID,
        lambda handle, thing: (
            GuestMemoryAttributes(context, thing).structure if isinstance(thing, MemoryAttributeProtocol) else None
        ),
    )
    interfaces.register(EFI_LOAD_FILE2_PROTOCOL_GUID, lambda handle, thing: _load_file2(context, thing))
    for protocols in (
        DevicePathProtocols(context), UnicodeCollation(context), HiiProtocols(context), RandomNumbers(context),
        DecompressProtocol(context),
    ):  # fmt: skip
        protocols.install()
    handles = install_console(context, console)
    tables.write_system_table(handles.of_system_table)
    return handles


def offer_image_texts(context: GuestContext, handle: int, image: LoadedImage) -> None:
    """Put the texts that an image brings with it on its handle."""
    package_list = hii_package_list(context.ram, image)
    handles = context.services.handles
    if package_list is not None and EFI_HII_PACKAGE_LIST_PROTOCOL_GUID not in handles.protocols(handle):
        handles.install_protocol_interface(handle, EFI_HII_PACKAGE_LIST_PROTOCOL_GUID, GuestInterface(package_list))


def _file_system(context: GuestContext, thing: object) -> int | None:
    if isinstance(thing, OnVolume):
        return FileSystemProtocol(context, thing.volume).structure()
    if isinstance(thing, SimpleFileSystem):
        return FileSystemProtocol(context, NamedFiles(thing)).structure()
    return None


def _load_file2(context: GuestContext, thing: object) -> int | None:
    if not isinstance(thing, PiecedFile):
        return None
    return context.interfaces.structure([LoadFile2Protocol(context, thing).load_file])


def unload_function(context: GuestContext, handle: int, image: LoadedImage) -> int:
    """The Unload field of an image's EFI_LOADED_IMAGE_PROTOCOL, as its code may have set it."""
    address = context.interfaces.address_of(handle, EFI_LOADED_IMAGE_PROTOCOL_GUID, image)
    return context.ram.u64(address + _UNLOAD_OFFSET) if address else 0


def _loaded_image(context: GuestContext, tables: SystemTables, image: LoadedImage) -> int:
    """EFI_LOADED_IMAGE_PROTOCOL; from now on the structure is what the guest goes by."""
    structure = context.interfaces.structure
    file_path = structure([image.file_path.pack()]) if image.file_path is not None else 0
    base, size = image.image_base, image.image_size
    if image.pe is None:
        base, size = structure([_empty_image()]), _EMPTY_IMAGE_SIZE
    options = (image.load_options + "\0").encode("utf-16-le") if image.load_options else b""
    return structure(
        [
            struct.pack("<I4x", _LOADED_IMAGE_REVISION),
            image.parent_handle,
            tables.system_table,
            image.device_handle or 0,
            file_path,
            0,
            struct.pack("<I4x", len(options)),
            structure([options]) if options else 0,
            base,
            size,
            struct.pack("<II", image.image_code_type, image.image_data_type),
            0,
        ]
    )


def _empty_image() -> bytes:
    """Headers of a PE image without sections, which stand for the firmware's own images: programs read them."""
    dos = b"MZ".ljust(_PE_OFFSET - 4, b"\0") + struct.pack("<I", _PE_OFFSET)
    coff = struct.pack("<4sHHIIIHH", b"PE", 0x8664, 0, 0, 0, 0, 240, 0x2022)
    optional = struct.pack("<HBBIIIIIQII", 0x20B, 0, 0, 0, 0, 0, 0, 0, 0, 0x1000, 0x200)
    optional += struct.pack("<6HIIIIHH4QII", 0, 0, 0, 0, 0, 0, 0, _EMPTY_IMAGE_SIZE, _EMPTY_IMAGE_SIZE, 0,
                            _SUBSYSTEM_DRIVER, 0, 0, 0, 0, 0, 0, 16)  # fmt: skip
    return (dos + coff + optional).ljust(_EMPTY_IMAGE_SIZE, b"\0")
