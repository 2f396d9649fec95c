"""What a disk is to those who read it by offset: the block protocols, and a virtio block device."""

from __future__ import annotations

from tdvfsh.lazy_typing import Final, Protocol, runtime_checkable

SECTOR: Final = 512


class ReadableDisk(Protocol):
    """Bytes by offset."""

    @property
    def disk_size(self) -> int:
        """Bytes, whole sectors."""
        ...

    def read_disk(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``, inside the disk; raises FileSystemError."""
        ...


@runtime_checkable
class Disk(ReadableDisk, Protocol):
    """One that may be written, too."""

    @property
    def writable(self) -> bool:
        """Whether :meth:`write_disk` is of use."""
        ...

    def write_disk(self, offset: int, data: bytes) -> None:
        """Store ``data`` at ``offset``, inside the disk; raises FileSystemError."""
        ...
