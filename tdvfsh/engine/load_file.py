"""EFI_LOAD_FILE2_PROTOCOL over files of the host.

Source: UEFI 2.10 13.2; edk2 OvmfPkg/QemuKernelLoaderFsDxe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tdvfsh.engine.device_paths import parse_device_path
from tdvfsh.engine.services import service
from tdvfsh.uefi.status import SUCCESS, EfiStatus

if TYPE_CHECKING:
    from tdvfsh.engine.firmware import GuestFirmware


@runtime_checkable
class PiecedFile(Protocol):
    """A file as pieces of others: ``(offset, bytes)``, zeros between."""

    size: int
    pieces: list[tuple[int, memoryview]]


class LoadFile2Protocol:
    """One file behind LoadFile."""

    def __init__(self, firmware: GuestFirmware, file: PiecedFile) -> None:
        self._firmware = firmware
        self._ram = firmware.ram
        self._file = file

    @service("EFI_LOAD_FILE2_PROTOCOL.LoadFile", "qqbqq")
    def load_file(self, this: int, file_path: int, boot_policy: int, buffer_size: int, buffer: int) -> EfiStatus:
        """The size, then the file."""
        if boot_policy:
            return EfiStatus.EFI_UNSUPPORTED
        if not buffer_size or not file_path or parse_device_path(self._ram, file_path).nodes:
            return EfiStatus.EFI_INVALID_PARAMETER
        room, size = self._ram.u64(buffer_size), self._file.size
        self._ram.put_u64(buffer_size, size)
        if not buffer or room < size:
            return EfiStatus.EFI_BUFFER_TOO_SMALL
        window = self._ram.window(buffer, size)
        at = 0
        for offset, view in self._file.pieces:
            window[at:offset] = bytes(offset - at)
            window[offset : offset + len(view)] = view
            at = offset + len(view)
        self._firmware.wrote(buffer, size)
        return SUCCESS
