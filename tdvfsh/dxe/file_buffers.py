"""Where the file at a device path is, and its bytes in a pool buffer.

Source: UEFI 2.10 7.4.1; edk2 MdePkg/Library/DxeServicesLib/DxeServicesLib.c (GetFileBufferByFilePath) and
MdeModulePkg/Core/Dxe/Image/Image.c (CoreLoadImageCommon).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tdvfsh.dxe.protocols import FileContents, FileLoader, LoadFile2, SimpleFileSystem
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.trace.records import PlacementMade
from tdvfsh.uefi.device_path import DevicePath, FilePath
from tdvfsh.uefi.guids import (
    EFI_LOAD_FILE2_PROTOCOL_GUID,
    EFI_LOAD_FILE_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus

if TYPE_CHECKING:
    from tdvfsh.dxe.boot_services import BootServices

_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_PROTOCOLS: Final = (
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
    EFI_LOAD_FILE2_PROTOCOL_GUID,
    EFI_LOAD_FILE_PROTOCOL_GUID,
)


class FileBuffers:
    """Reader of files for LoadImage.

    Args:
        services: Buffers are allocated through it.

    Attributes:
        loader_of: Returns what loads files through an interface of a program's; None where nothing can run it.
    """

    def __init__(self, services: BootServices) -> None:
        self._services = services
        self.loader_of: Callable[[Guid, object], FileLoader | None] = lambda protocol, interface: None

    def sources(self, boot_policy: bool, device_path: DevicePath) -> Iterator[tuple[Guid, int, DevicePath]]:
        """Protocol, handle and rest of the path of what may have the file, in the order in which they are asked."""
        for protocol in _PROTOCOLS:
            if boot_policy and protocol == EFI_LOAD_FILE2_PROTOCOL_GUID:
                continue
            status, device, rest = self._services.handles.locate_device_path(protocol, device_path)
            if status is SUCCESS and device is not None:
                yield protocol, device, rest

    def read(
        self, boot_policy: bool, sources: Iterable[tuple[Guid, int, DevicePath]]
    ) -> tuple[memoryview | None, PlacementMade | None]:
        """GetFileBufferByFilePath: the file in a pool buffer. Any failure, also of the pool, is just nothing.

        Args:
            boot_policy: As LoadImage was called with.
            sources: What :meth:`sources` returned for it and the file's path.
        """
        services = self._services
        for protocol, device, rest in sources:
            interface = services.handles.handle_protocol(device, protocol).interface
            loader = self.loader_of(protocol, interface)
            if loader is not None:
                found = self._load_into_buffer(loader, rest, boot_policy)
                if found is not None:
                    return found
                continue
            path = "\\".join(node.path for node in rest.nodes if isinstance(node, FilePath))
            contents = FileContents(EfiStatus.EFI_NOT_FOUND, None)
            if isinstance(interface, SimpleFileSystem) and path:
                contents = interface.read_file(path)
            elif isinstance(interface, LoadFile2):
                contents = interface.load_file(path, boot_policy)
            if contents.status is SUCCESS and contents.view is not None:
                status, buffer = services.allocate_pool(_BS_DATA, contents.size)
                if status is SUCCESS and buffer:
                    services.contents.map_view(buffer, contents.view)
                    end = buffer + contents.size
                    return contents.view, services.trace.place("file_buffer", buffer, end, _BS_DATA)
        return None, None

    def _load_into_buffer(
        self, loader: FileLoader, path: DevicePath, boot_policy: bool
    ) -> tuple[memoryview, PlacementMade] | None:
        """The file of a program, which is asked for its size first; None where it has none, or there is no room."""
        services = self._services
        size = loader.file_size(path, boot_policy)
        buffer = services.allocate_pool(_BS_DATA, size).buffer if size else None
        if not size or not buffer:
            return None
        contents = loader.load_into(path, boot_policy, buffer, size)
        if contents.status is SUCCESS and contents.view is not None:
            return contents.view, services.trace.place("file_buffer", buffer, buffer + size, _BS_DATA)
        services.free_pool(buffer)
        return None
