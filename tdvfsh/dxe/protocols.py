"""What the DXE core itself asks of protocol interfaces: files and the accept protocol.

Source: UEFI 2.10 13.1, 13.2, 13.4; edk2 MdePkg/Include/Protocol/MemoryAccept.h.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import NamedTuple, Protocol, runtime_checkable
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.status import EfiStatus


class FileContents(NamedTuple):
    """A file's bytes; ``view`` is None unless the status is EFI_SUCCESS."""

    status: EfiStatus
    view: memoryview | None

    @property
    def size(self) -> int:
        """Bytes."""
        return 0 if self.view is None else len(self.view)


@runtime_checkable
class SimpleFileSystem(Protocol):
    """EFI_SIMPLE_FILE_SYSTEM_PROTOCOL, as far as reading a whole file needs it."""

    def read_file(self, path: str) -> FileContents:
        """The file at a backslash path; EFI_NOT_FOUND where there is none."""
        ...


@runtime_checkable
class LoadFile2(Protocol):
    """EFI_LOAD_FILE2_PROTOCOL."""

    def load_file(self, path: str, boot_policy: bool) -> FileContents:
        """The file; EFI_UNSUPPORTED for a boot policy of TRUE."""
        ...


class FileLoader(Protocol):
    """EFI_LOAD_FILE_PROTOCOL or EFI_LOAD_FILE2_PROTOCOL of a program, which fills a buffer."""

    def file_size(self, path: DevicePath, boot_policy: bool) -> int | None:
        """Bytes of the file at the rest of a device path; None where it has none."""
        ...

    def load_into(self, path: DevicePath, boot_policy: bool, buffer: int, size: int) -> FileContents:
        """The file, in a buffer of ``size`` bytes at ``buffer``."""
        ...


@runtime_checkable
class MemoryAccept(Protocol):
    """EDKII_MEMORY_ACCEPT_PROTOCOL."""

    def accept_memory(self, start_address: int, size: int) -> EfiStatus:
        """Accept ``size`` bytes from ``start_address``; nothing but the secure EPT changes."""
        ...
