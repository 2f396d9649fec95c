"""A disk in memory for tests."""

from __future__ import annotations

from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.uefi.status import EfiStatus


class MemoryDisk:
    """Sectors that hold their own numbers."""

    def __init__(self, sectors: int, writable: bool = True) -> None:
        self.data = bytearray(b"".join(number.to_bytes(4, "little") * 128 for number in range(sectors)))
        self.writable = writable
        self.broken = False

    @property
    def disk_size(self) -> int:
        return len(self.data)

    def read_disk(self, offset: int, size: int) -> bytes:
        if self.broken:
            raise FileSystemError(EfiStatus.EFI_DEVICE_ERROR)
        return bytes(self.data[offset : offset + size])

    def write_disk(self, offset: int, data: bytes) -> None:
        assert self.writable
        self.data[offset : offset + len(data)] = data
