"""Files that LoadImage reads through a program's protocols: its LoadFile(), or its file system.

Source: UEFI 2.10 13.1, 13.2, 13.4 and 13.5; edk2 MdePkg/Library/DxeServicesLib/DxeServicesLib.c
(GetFileBufferByFilePath), which opens a file node by node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tdvfsh.dxe.protocols import FileContents
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import status_of
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath, FilePath
from tdvfsh.uefi.guids import (
    EFI_FILE_INFO_GUID,
    EFI_LOAD_FILE2_PROTOCOL_GUID,
    EFI_LOAD_FILE_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_OPEN_VOLUME: Final = 8
_OPEN, _CLOSE, _READ, _GET_INFO = 8, 16, 32, 64
_MODE_READ: Final = 1
_FILE_SIZE: Final = 8
_ATTRIBUTE: Final = 72
_DIRECTORY: Final = 0x10
_INFO_ROOM: Final = 1024


class _GuestProtocol:
    """A protocol of guest code, whose functions are called with buffers in the guest's heap.

    Args:
        context: Guest memory.
        call: Calls guest code, as the context does.
        address: The protocol's structure.
    """

    def __init__(self, context: GuestContext, call: Callable[..., int], address: int) -> None:
        self._context = context
        self._call = call
        self._ram = context.ram
        self._address = address

    def _allocated(self, stack: ExitStack, size: int) -> int:
        address = self._context.heap.allocate(size)
        stack.callback(self._context.heap.free, address)
        return address

    def _function(self, structure: int, offset: int, *arguments: int) -> EfiStatus:
        return status_of(self._call(self._ram.u64(structure + offset), *arguments))


class GuestFileLoader(_GuestProtocol):
    """LoadFile() of guest code."""

    def file_size(self, path: DevicePath, boot_policy: bool) -> int | None:
        """LoadFile() without a buffer: what it says the file needs."""
        status, size = self._load(path, boot_policy, 0, 0)
        return size if status is EfiStatus.EFI_BUFFER_TOO_SMALL else None

    def load_into(self, path: DevicePath, boot_policy: bool, buffer: int, size: int) -> FileContents:
        """LoadFile() with a buffer."""
        status, filled = self._load(path, boot_policy, buffer, size)
        if status is not SUCCESS:
            return FileContents(status, None)
        return FileContents(SUCCESS, memoryview(self._ram.read(buffer, min(filled, size))))

    def _load(self, path: DevicePath, boot_policy: bool, buffer: int, room: int) -> tuple[EfiStatus, int]:
        packed = path.pack()
        with ExitStack() as stack:
            where, size = self._allocated(stack, len(packed)), self._allocated(stack, 8)
            self._ram.write(where, packed)
            self._ram.put_u64(size, room)
            status = self._function(self._address, 0, self._address, where, int(boot_policy), size, buffer)
            return status, self._ram.u64(size)


class GuestFileSystemLoader(_GuestProtocol):
    """Files of a driver's EFI_SIMPLE_FILE_SYSTEM_PROTOCOL."""

    def file_size(self, path: DevicePath, boot_policy: bool) -> int | None:
        """GetInfo(): its size; None for a directory, and for what is not there."""
        ram = self._ram
        with self._opened(path) as file:
            if not file:
                return None
            with ExitStack() as stack:
                name, size, info = (self._allocated(stack, count) for count in (16, 8, _INFO_ROOM))
                ram.write(name, EFI_FILE_INFO_GUID.bytes_le)
                ram.put_u64(size, _INFO_ROOM)
                if self._function(file, _GET_INFO, file, name, size, info) is not SUCCESS:
                    return None
                return None if ram.u64(info + _ATTRIBUTE) & _DIRECTORY else ram.u64(info + _FILE_SIZE)

    def load_into(self, path: DevicePath, boot_policy: bool, buffer: int, size: int) -> FileContents:
        """Read()."""
        with self._opened(path) as file, ExitStack() as stack:
            if not file:
                return FileContents(EfiStatus.EFI_NOT_FOUND, None)
            count = self._allocated(stack, 8)
            self._ram.put_u64(count, size)
            status = self._function(file, _READ, file, count, buffer)
            if status is not SUCCESS:
                return FileContents(status, None)
            return FileContents(SUCCESS, memoryview(self._ram.read(buffer, min(self._ram.u64(count), size))))

    @contextmanager
    def _opened(self, path: DevicePath) -> Iterator[int]:
        """The file, 0 where it cannot be opened; each one on the way is closed as the next is open."""
        with ExitStack() as stack:
            place = self._allocated(stack, 8)
            names = [node.path for node in path.nodes if isinstance(node, FilePath)]
            opened = names and self._function(self._address, _OPEN_VOLUME, self._address, place) is SUCCESS
            file = self._ram.u64(place) if opened else 0
            for name in names if file else ():
                text = (name + "\0").encode("utf-16-le")
                where = self._allocated(stack, len(text))
                self._ram.write(where, text)
                status = self._function(file, _OPEN, file, place, where, _MODE_READ, 0)
                self._function(file, _CLOSE, file)
                file = self._ram.u64(place) if status is SUCCESS else 0
                if not file:
                    break
            try:
                yield file
            finally:
                if file:
                    self._function(file, _CLOSE, file)


def file_loader(
    context: GuestContext, call: Callable[..., int], protocol: Guid, interface: object
) -> GuestFileLoader | GuestFileSystemLoader | None:
    """The loader of an interface that guest code installed; None for any other."""
    if not isinstance(interface, GuestInterface) or not interface.address:
        return None
    if protocol == EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID:
        return GuestFileSystemLoader(context, call, interface.address)
    if protocol not in (EFI_LOAD_FILE_PROTOCOL_GUID, EFI_LOAD_FILE2_PROTOCOL_GUID):
        return None
    return GuestFileLoader(context, call, interface.address)
