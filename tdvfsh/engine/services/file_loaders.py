"""Files that LoadImage reads through a program's EFI_LOAD_FILE_PROTOCOL or EFI_LOAD_FILE2_PROTOCOL.

Source: UEFI 2.10 13.1 and 13.2.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.dxe.protocols import FileContents
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import status_of
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import EFI_LOAD_FILE2_PROTOCOL_GUID, EFI_LOAD_FILE_PROTOCOL_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus


class GuestFileLoader:
    """LoadFile() of guest code.

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
        heap = self._context.heap
        packed = path.pack()
        where, size = heap.allocate(len(packed)), heap.allocate(8)
        self._ram.write(where, packed)
        self._ram.put_u64(size, room)
        code = self._ram.u64(self._address)
        status = status_of(self._call(code, self._address, where, int(boot_policy), size, buffer))
        needed = self._ram.u64(size)
        heap.free(where)
        heap.free(size)
        return status, needed


def file_loader(
    context: GuestContext, call: Callable[..., int], protocol: Guid, interface: object
) -> GuestFileLoader | None:
    """The loader of an interface that guest code installed; None for any other."""
    if protocol not in (EFI_LOAD_FILE_PROTOCOL_GUID, EFI_LOAD_FILE2_PROTOCOL_GUID):
        return None
    if not isinstance(interface, GuestInterface) or not interface.address:
        return None
    return GuestFileLoader(context, call, interface.address)
