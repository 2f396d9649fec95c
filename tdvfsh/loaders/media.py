"""Protocol interfaces by which loaders hand over files: a read-only file system, and LoadFile2 for the initrd."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tdvfsh.dxe.protocols import FileContents
from tdvfsh.loaders.files import Pieces
from tdvfsh.uefi.status import SUCCESS, EfiStatus


class BlobFileSystem:
    """A flat volume of named files, as OVMF's QEMU kernel loader publishes it, or an EFI system partition.

    Args:
        files: Each file as its parts; a joined copy of several gigabytes is not needed.
    """

    def __init__(self, files: Mapping[str, Pieces]) -> None:
        self._files = files

    def read_file(self, path: str) -> FileContents:
        """The file of that name; EFI_NOT_FOUND where there is none in one part."""
        pieces = self.pieces(path)
        if pieces is None or len(pieces) != 1:
            return FileContents(EfiStatus.EFI_NOT_FOUND, None)
        return FileContents(SUCCESS, pieces[0][1])

    def pieces(self, path: str) -> Pieces | None:
        """The parts of the file of that name, or None."""
        return self._files.get(path.lstrip("\\"))


class InitrdLoadFile2:
    """LoadFile2 on the LINUX_EFI_INITRD_MEDIA_GUID path.

    Args:
        size: Bytes of the joined initrd.
        pieces: ``(offset, bytes)`` of its parts.
        asked_for_size: Called when the file's size is requested: the caller is about to allocate a buffer for it.
        on_read: Called when it is read: what reading it from a disk costs its owner.
    """

    def __init__(
        self,
        size: int,
        pieces: Pieces,
        asked_for_size: Callable[[], None] = lambda: None,
        on_read: Callable[[], None] = lambda: None,
    ) -> None:
        self.size = size
        self.pieces = pieces
        self._asked_for_size = asked_for_size
        self.on_read = on_read

    def load_file(self, path: str, boot_policy: bool) -> FileContents:
        """EFI_UNSUPPORTED for a boot policy, EFI_INVALID_PARAMETER for a path after the node, else the size to come.

        The bytes are in ``pieces``.
        """
        if boot_policy:
            return FileContents(EfiStatus.EFI_UNSUPPORTED, None)
        if path:
            return FileContents(EfiStatus.EFI_INVALID_PARAMETER, None)
        self._asked_for_size()
        return FileContents(EfiStatus.EFI_BUFFER_TOO_SMALL, None)
