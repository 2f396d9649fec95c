"""EFI_SIMPLE_FILE_SYSTEM_PROTOCOL and EFI_FILE_PROTOCOL over a volume.

Source: UEFI 2.10 13.4 and 13.5; edk2 FatPkg/EnhancedFatDxe.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.buffers import fill_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.protocols.file_info import (
    ATTRIBUTE_DIRECTORY,
    SIZE_OF_EFI_FILE_INFO,
    SIZE_OF_EFI_FILE_SYSTEM_INFO,
    VALID_ATTRIBUTES,
    FileChange,
    pack_file_info,
    read_file_change,
    volume_label,
)
from tdvfsh.engine.protocols.file_tokens import FileTokens
from tdvfsh.engine.storage.sparse_file import SparseFile, WriteBudget
from tdvfsh.engine.storage.volumes import set_modified
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.filesystem import BLOCK_SIZE, FileInfo, FileSystemError, whole_blocks
from tdvfsh.uefi.guids import (
    EFI_FILE_INFO_GUID,
    EFI_FILE_SYSTEM_INFO_GUID,
    EFI_FILE_SYSTEM_VOLUME_LABEL_GUID,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.volume import Volume

MODE_READ: Final = 1
MODE_WRITE: Final = 2
MODE_CREATE: Final = 1 << 63
_REVISION: Final = 0x00010000
_FILE_REVISION: Final = 0x00020000  # with the functions that take a token
_CHARACTER: Final = 2
_LARGEST_FILE: Final = 1 << 30  # of those that are written
_LARGEST_CHANGED: Final = 1 << 28  # of those that are there and changed: they are read whole when they are stored
_END_OF_FILE: Final = (1 << 64) - 1
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


@dataclass(slots=True)
class _OpenFile:
    """An open file or directory; ``written`` holds the new contents of one that was changed."""

    parts: tuple[str, ...]
    is_directory: bool
    writable: bool
    position: int = 0
    written: SparseFile | None = None
    entries: list[FileInfo] | None = None


class FileSystemProtocol:
    """One volume: OpenVolume, and the functions of all its open files."""

    def __init__(self, context: GuestContext, volume: Volume) -> None:
        self._context = context
        self._ram = context.ram
        self._volume = volume
        self._open: dict[int, _OpenFile] = {}
        self._budget = WriteBudget()
        self._tokens = FileTokens(context, self)

    def structure(self) -> int:
        """Address of the file system's structure."""
        return self._context.interfaces.structure([_REVISION, self.open_volume])

    def _handle(self, file: _OpenFile) -> int:
        address = self._context.interfaces.structure(
            [
                _FILE_REVISION, self.open, self.close, self.delete, self.read, self.write, self.get_position,
                self.set_position, self.get_info, self.set_info, self.flush,
                self._tokens.open_ex, self._tokens.read_ex, self._tokens.write_ex, self._tokens.flush_ex,
            ]
        )  # fmt: skip
        self._open[address] = file
        return address

    @service("EFI_SIMPLE_FILE_SYSTEM_PROTOCOL.OpenVolume", "qq")
    def open_volume(self, this: int, root: int) -> EfiStatus:
        """The root directory."""
        if not root:
            return _INVALID
        self._ram.put_u64(root, self._handle(_OpenFile((), True, self._volume.writable)))
        return SUCCESS

    @service("EFI_FILE_PROTOCOL.Open", "qqsqq")
    def open(self, this: int, new_handle: int, file_name: int, open_mode: int, attributes: int) -> EfiStatus:
        """Open or create, relative to an open directory."""
        base = self._open.get(this)
        if base is None or not new_handle or not file_name:
            return _INVALID
        if open_mode not in (MODE_READ, MODE_READ | MODE_WRITE, MODE_READ | MODE_WRITE | MODE_CREATE):
            return _INVALID
        if open_mode & MODE_CREATE and attributes & ~VALID_ATTRIBUTES:
            return _INVALID
        name = self._ram.utf16(file_name)
        start = base.parts if base.is_directory else base.parts[:-1]
        parts = resolve(() if name.startswith("\\") else start, name)
        writes = bool(open_mode & MODE_WRITE)
        try:
            info = self._volume.info(parts)
            if info is None:
                if not open_mode & MODE_CREATE:
                    return EfiStatus.EFI_NOT_FOUND
                info = self._create(parts, bool(attributes & ATTRIBUTE_DIRECTORY))
            if writes and not self._volume.writable:
                return EfiStatus.EFI_WRITE_PROTECTED
            if writes and "r" in info.attributes and not info.is_directory:
                return EfiStatus.EFI_ACCESS_DENIED
        except FileSystemError as error:
            return error.status
        self._ram.put_u64(new_handle, self._handle(_OpenFile(parts, info.is_directory, writes)))
        return SUCCESS

    def _create(self, parts: tuple[str, ...], directory: bool) -> FileInfo:
        if not self._volume.writable:
            raise FileSystemError(EfiStatus.EFI_WRITE_PROTECTED)
        if not parts or self._volume.info(parts[:-1]) is None:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        if directory:
            self._volume.make_directory(parts)
        else:
            self._volume.open_writer(parts, append=False).close()
        info = self._volume.info(parts)
        if info is None:
            raise FileSystemError(EfiStatus.EFI_DEVICE_ERROR)
        return info

    @service("EFI_FILE_PROTOCOL.Close", "q")
    def close(self, this: int) -> EfiStatus:
        """Write back what was changed."""
        file = self._open.pop(this, None)
        if file is None:
            return _INVALID
        self._context.heap.free(this)
        status = self._write_back(file)
        if file.written is not None:
            file.written.close()
        return status

    def _write_back(self, file: _OpenFile) -> EfiStatus:
        if file.written is None:
            return SUCCESS
        try:
            self._volume.save(file.parts, file.written.pieces())
        except FileSystemError as error:
            return error.status
        file.written.close()
        file.written = None
        return SUCCESS

    def _contents(self, file: _OpenFile) -> SparseFile:
        """What a file is being changed to."""
        if file.written is None:
            info = self._volume.info(file.parts)
            size = info.size if info is not None else 0
            if size > _LARGEST_CHANGED:
                raise FileSystemError(EfiStatus.EFI_VOLUME_FULL)
            file.written = SparseFile(self._volume, file.parts, size, self._budget)
        return file.written

    @service("EFI_FILE_PROTOCOL.Delete", "q")
    def delete(self, this: int) -> EfiStatus:
        """Delete and close; a warning where it cannot be deleted."""
        file = self._open.pop(this, None)
        if file is None:
            return _INVALID
        self._context.heap.free(this)
        if file.written is not None:
            file.written.close()
        try:
            if not file.parts or not file.writable:
                return EfiStatus.EFI_WARN_DELETE_FAILURE
            self._volume.remove(file.parts)
        except FileSystemError:
            return EfiStatus.EFI_WARN_DELETE_FAILURE
        return SUCCESS

    @service("EFI_FILE_PROTOCOL.Read", "qqq")
    def read(self, this: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Bytes of a file, or the next entry of a directory."""
        file = self._open.get(this)
        if file is None or not buffer_size:
            return _INVALID
        room = self._ram.u64(buffer_size)
        try:
            data = self._next_entry(file, room) if file.is_directory else self._bytes(file, room)
        except FileSystemError as error:
            return error.status
        self._ram.put_u64(buffer_size, len(data))
        if len(data) > room:
            return EfiStatus.EFI_BUFFER_TOO_SMALL
        if data:
            self._ram.write(buffer, data)
            self._context.wrote(buffer, len(data))
        file.position += 1 if file.is_directory and data else len(data)
        return SUCCESS

    def _bytes(self, file: _OpenFile, size: int) -> bytes:
        if file.written is not None:
            if file.position > file.written.size:
                raise FileSystemError(EfiStatus.EFI_DEVICE_ERROR)
            return file.written.read(file.position, size)
        info = self._volume.info(file.parts)
        if info is None or file.position > info.size:
            raise FileSystemError(EfiStatus.EFI_DEVICE_ERROR)
        return self._volume.read(file.parts, min(size, info.size - file.position), file.position)

    def _next_entry(self, file: _OpenFile, room: int) -> bytes:
        if file.entries is None or file.position == 0:
            file.entries = self._entries(file.parts)
        return pack_file_info(file.entries[file.position]) if file.position < len(file.entries) else b""

    def _entries(self, parts: tuple[str, ...]) -> list[FileInfo]:
        found = sorted(self._volume.entries(parts), key=lambda entry: entry.name.upper())
        if not parts:
            return found
        own = self._volume.info(parts)
        dots = [own._replace(name=name) for name in (".", "..")] if own is not None else []
        return [*dots, *found]

    @service("EFI_FILE_PROTOCOL.Write", "qqq")
    def write(self, this: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Bytes at the position; the host's file changes when it is flushed or closed."""
        file = self._open.get(this)
        if file is None or not buffer_size:
            return _INVALID
        if file.is_directory:
            return EfiStatus.EFI_UNSUPPORTED
        if not file.writable:
            return EfiStatus.EFI_ACCESS_DENIED
        size = self._ram.u64(buffer_size)
        if file.position + size > _LARGEST_FILE:
            return EfiStatus.EFI_VOLUME_FULL
        data = self._ram.read(buffer, size)
        try:
            if self._volume.info(file.parts) is None:  # it was deleted through another handle
                return EfiStatus.EFI_DEVICE_ERROR
            self._contents(file).write(file.position, data)
        except FileSystemError as error:
            return error.status
        file.position += len(data)
        return SUCCESS

    @service("EFI_FILE_PROTOCOL.GetPosition", "qq")
    def get_position(self, this: int, position: int) -> EfiStatus:
        """Bytes from the start."""
        file = self._open.get(this)
        if file is None or file.is_directory:
            return EfiStatus.EFI_UNSUPPORTED
        self._ram.put_u64(position, file.position)
        return SUCCESS

    @service("EFI_FILE_PROTOCOL.SetPosition", "qq")
    def set_position(self, this: int, position: int) -> EfiStatus:
        """All ones is the end of the file; a directory can only be read from its start again."""
        file = self._open.get(this)
        if file is None or (file.is_directory and position):
            return EfiStatus.EFI_UNSUPPORTED
        if position == _END_OF_FILE:
            info = self._volume.info(file.parts)
            position = file.written.size if file.written is not None else info.size if info is not None else 0
        file.position = position
        return SUCCESS

    @service("EFI_FILE_PROTOCOL.GetInfo", "qgqq")
    def get_info(self, this: int, information_type: int, buffer_size: int, buffer: int) -> EfiStatus:
        """EFI_FILE_INFO, EFI_FILE_SYSTEM_INFO or the volume label."""
        file = self._open.get(this)
        if file is None or not information_type or not buffer_size:
            return _INVALID
        guid = self._ram.guid(information_type)
        label = (self._volume.label + "\0").encode("utf-16-le")
        try:
            if guid == EFI_FILE_INFO_GUID:
                info = self._volume.info(file.parts)
                if info is None:
                    return EfiStatus.EFI_DEVICE_ERROR
                if file.written is not None:
                    info = info._replace(size=file.written.size)
                data = pack_file_info(info)
            elif guid == EFI_FILE_SYSTEM_INFO_GUID:
                size, free = self._volume.space()
                free = max(0, free - self._unsaved())
                read_only = not self._volume.writable
                data = struct.pack("<QB7xQQI", 36 + len(label), read_only, size, free, BLOCK_SIZE) + label
            elif guid == EFI_FILE_SYSTEM_VOLUME_LABEL_GUID:
                data = label
            else:
                return EfiStatus.EFI_UNSUPPORTED
        except FileSystemError as error:
            return error.status
        return fill_buffer(self._ram, buffer_size, buffer, data)

    def _unsaved(self) -> int:
        """Bytes of free space that contents take which are not saved yet."""
        growth = 0
        for file in self._open.values():
            if file.written is not None:
                info = self._volume.info(file.parts)
                growth += whole_blocks(file.written.size) - (info.physical_size if info is not None else 0)
        return growth

    @service("EFI_FILE_PROTOCOL.SetInfo", "qgqq")
    def set_info(self, this: int, information_type: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Name, size, attributes and time of change of a file, or the volume's label."""
        file = self._open.get(this)
        if file is None or not information_type or not buffer:
            return _INVALID
        guid = self._ram.guid(information_type)
        if guid not in (EFI_FILE_INFO_GUID, EFI_FILE_SYSTEM_INFO_GUID, EFI_FILE_SYSTEM_VOLUME_LABEL_GUID):
            return EfiStatus.EFI_UNSUPPORTED
        if not self._volume.writable:
            return EfiStatus.EFI_WRITE_PROTECTED
        if guid != EFI_FILE_INFO_GUID:
            return self._set_label(guid == EFI_FILE_SYSTEM_INFO_GUID, buffer_size, buffer)
        if not file.parts:
            return EfiStatus.EFI_ACCESS_DENIED
        if buffer_size < SIZE_OF_EFI_FILE_INFO + _CHARACTER or self._ram.u64(buffer) > buffer_size:
            return EfiStatus.EFI_BAD_BUFFER_SIZE
        change = read_file_change(self._ram, buffer)
        if change is None:
            return _INVALID
        try:
            return self._change(file, change)
        except FileSystemError as error:
            return error.status

    def _set_label(self, with_facts: bool, buffer_size: int, buffer: int) -> EfiStatus:
        """The volume's label, which lasts as long as the volume is kept; the facts before it do not change."""
        at = SIZE_OF_EFI_FILE_SYSTEM_INFO if with_facts else 0
        if buffer_size < at + _CHARACTER or (with_facts and self._ram.u64(buffer) > buffer_size):
            return EfiStatus.EFI_BAD_BUFFER_SIZE
        label = volume_label(self._ram.utf16(buffer + at))
        if label is None:
            return EfiStatus.EFI_UNSUPPORTED
        self._volume.label = label
        return SUCCESS

    def _change(self, file: _OpenFile, change: FileChange) -> EfiStatus:
        """Do all of it, or nothing; of a read-only file, or one open for reading, only attributes change."""
        info = self._volume.info(file.parts)
        if info is None:
            return EfiStatus.EFI_DEVICE_ERROR
        size = info.size if file.written is None else file.written.size
        target = resolve(() if change.name.startswith("\\") else file.parts[:-1], change.name)
        read_only = not file.writable or "r" in info.attributes
        renamed = target != file.parts
        resized = change.size != size
        changed = not read_only and change.modified not in (None, info.modified)
        if change.is_directory != file.is_directory or (read_only and renamed):
            return EfiStatus.EFI_ACCESS_DENIED
        if resized and (file.is_directory or read_only):
            return EfiStatus.EFI_ACCESS_DENIED
        if renamed and self._volume.info(target) is not None and not _same(target, file.parts):
            return EfiStatus.EFI_ACCESS_DENIED
        if not read_only and change.created not in (None, info.created):
            return EfiStatus.EFI_UNSUPPORTED
        if resized and change.size > _LARGEST_FILE:
            return EfiStatus.EFI_VOLUME_FULL
        if resized:
            self._contents(file).resize(change.size)
        if renamed:
            self._write_back(file)
            self._volume.rename(file.parts, target)
            file.parts = target
        if file.parts and set(info.attributes) - {"d"} != set(change.attributes):
            status = self._write_back(file)  # a file that is read-only then would take no byte of it
            if status.is_error:
                return status
            self._volume.set_attributes(file.parts, change.attributes)
        if changed:
            self._write_back(file)
            set_modified(self._volume, file.parts, change.modified or 0)
        return SUCCESS

    @service("EFI_FILE_PROTOCOL.Flush", "q")
    def flush(self, this: int) -> EfiStatus:
        """Write back what was changed; a file or directory open for reading has nothing to write."""
        file = self._open.get(this)
        if file is None:
            return _INVALID
        if file.parts and not file.writable:
            return EfiStatus.EFI_ACCESS_DENIED
        return self._write_back(file)


def _same(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two paths name the same entry."""
    return [name.upper() for name in one] == [name.upper() for name in other]


def resolve(start: tuple[str, ...], name: str) -> tuple[str, ...]:
    """A path relative to another; ``..`` above the root stays there."""
    parts = list(start)
    for part in name.split("\\"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)
