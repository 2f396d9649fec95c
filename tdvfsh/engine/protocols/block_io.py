"""EFI_BLOCK_IO_PROTOCOL and EFI_DISK_IO_PROTOCOL over read-only disks.

Source: UEFI 2.10 13.9 and 13.7.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import Field
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.disk import SECTOR, Disk
from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_REVISION: Final = 0x00010000
_MEDIA_ID: Final = 1
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class BlockIoProtocol:
    """Both protocols of one disk."""

    def __init__(self, context: GuestContext, disk: Disk) -> None:
        self._context = context
        self._ram = context.ram
        self._disk = disk

    def block_io(self) -> int:
        """Address of EFI_BLOCK_IO_PROTOCOL."""
        structure = self._context.interfaces.structure
        last = max(0, self._disk.disk_size // SECTOR - 1)
        media = struct.pack("<I5B3xII4xQQII", _MEDIA_ID, 0, 1, 0, not self._disk.writable, 0, SECTOR, 0, last, 0, 0, 0)
        fields: list[Field] = [
            _REVISION,
            structure([media]),
            self.reset,
            self.read_blocks,
            self.write_blocks,
            self.flush_blocks,
        ]
        return structure(fields)

    def disk_io(self) -> int:
        """Address of EFI_DISK_IO_PROTOCOL."""
        return self._context.interfaces.structure([_REVISION, self.read_disk, self.write_disk])

    def _read(self, media_id: int, offset: int, size: int, buffer: int) -> EfiStatus:
        if media_id != _MEDIA_ID:
            return EfiStatus.EFI_MEDIA_CHANGED
        if offset + size > self._disk.disk_size or (size and not buffer):
            return _INVALID
        if size:
            try:
                data = self._disk.read_disk(offset, size)
            except FileSystemError:
                return EfiStatus.EFI_DEVICE_ERROR
            self._ram.write(buffer, data)
            self._context.wrote(buffer, size)
        return SUCCESS

    def _write(self, media_id: int, offset: int, size: int, buffer: int) -> EfiStatus:
        if media_id != _MEDIA_ID:
            return EfiStatus.EFI_MEDIA_CHANGED
        if not self._disk.writable:
            return EfiStatus.EFI_WRITE_PROTECTED
        if offset + size > self._disk.disk_size or (size and not buffer):
            return _INVALID
        try:
            self._disk.write_disk(offset, self._ram.read(buffer, size))
        except FileSystemError as error:
            return error.status
        return SUCCESS

    @service("EFI_BLOCK_IO_PROTOCOL.Reset", "qb")
    def reset(self, this: int, extended_verification: int) -> EfiStatus:
        """There is nothing to reset."""
        return SUCCESS

    @service("EFI_BLOCK_IO_PROTOCOL.ReadBlocks", "qdqqq")
    def read_blocks(self, this: int, media_id: int, lba: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Whole sectors."""
        if buffer_size % SECTOR and media_id == _MEDIA_ID:
            return EfiStatus.EFI_BAD_BUFFER_SIZE
        return self._read(media_id, lba * SECTOR, buffer_size, buffer)

    @service("EFI_BLOCK_IO_PROTOCOL.WriteBlocks", "qdqqq")
    def write_blocks(self, this: int, media_id: int, lba: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Whole sectors; most disks are read-only."""
        if buffer_size % SECTOR and media_id == _MEDIA_ID:
            return EfiStatus.EFI_BAD_BUFFER_SIZE
        return self._write(media_id, lba * SECTOR, buffer_size, buffer)

    @service("EFI_BLOCK_IO_PROTOCOL.FlushBlocks", "q")
    def flush_blocks(self, this: int) -> EfiStatus:
        """Nothing is ever left to write."""
        return SUCCESS

    @service("EFI_DISK_IO_PROTOCOL.ReadDisk", "qdqqq")
    def read_disk(self, this: int, media_id: int, offset: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Any bytes."""
        return self._read(media_id, offset, buffer_size, buffer)

    @service("EFI_DISK_IO_PROTOCOL.WriteDisk", "qdqqq")
    def write_disk(self, this: int, media_id: int, offset: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Any bytes; most disks are read-only."""
        return self._write(media_id, offset, buffer_size, buffer)
