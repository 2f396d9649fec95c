"""EFI_LOAD_FILE2_PROTOCOL over files of the host.

Source: UEFI 2.10 13.2; edk2 OvmfPkg/QemuKernelLoaderFsDxe.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.dxe.protocols import FileContents
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.device_paths import parse_device_path
from tdvfsh.engine.abi.service_table import service
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.lazy_typing import Protocol, runtime_checkable
from tdvfsh.uefi.status import SUCCESS, EfiStatus


@runtime_checkable
class PiecedFile(Protocol):
    """A file as pieces of others: ``(offset, bytes)``, zeros between; it is notified of size requests and reads."""

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        ...

    @property
    def pieces(self) -> Sequence[tuple[int, memoryview]]:
        """Its parts."""
        ...

    def load_file(self, path: str, boot_policy: bool) -> FileContents:
        """EFI_BUFFER_TOO_SMALL for a request of the size, or the error."""
        ...

    def on_read(self) -> None:
        """The file is read."""


class LoadFile2Protocol:
    """One file by LoadFile."""

    def __init__(self, context: GuestContext, file: PiecedFile) -> None:
        self._context = context
        self._ram = context.ram
        self._file = file

    @service("EFI_LOAD_FILE2_PROTOCOL.LoadFile", "qqbqq")
    def load_file(self, this: int, file_path: int, boot_policy: int, buffer_size: int, buffer: int) -> EfiStatus:
        """The size, then the file."""
        if not buffer_size or not file_path:
            return EfiStatus.EFI_INVALID_PARAMETER
        room, size = self._ram.u64(buffer_size), self._file.size
        self._ram.put_u64(buffer_size, size)
        if boot_policy or not buffer or room < size:
            return self._file.load_file(str(parse_device_path(self._ram, file_path)), bool(boot_policy)).status
        window = self._ram.window(buffer, size)
        at = 0
        for offset, view in self._file.pieces:
            window[at:offset] = bytes(offset - at)
            at = offset
            for chunk in ByteSource(view).chunks():  # read, not touched: the file may have become shorter
                window[at : at + len(chunk)] = chunk
                at += len(chunk)
        window[at:size] = bytes(size - at)
        self._file.on_read()
        self._context.wrote(buffer, size)
        return SUCCESS
