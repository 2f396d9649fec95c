"""What a guest has written to its disks, in a file."""

from __future__ import annotations

from tdvfsh.engine.saved.memory import Sink
from tdvfsh.engine.storage.drive import Drive
from tdvfsh.engine.storage.overlay import CHUNK, Overlay
from tdvfsh.formats import shapes
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import BinaryIO, Final
from tdvfsh.uefi.disk import Disk

CHUNKS: Final = shapes.items(shapes.NUMBER)


def _overlay(disk: Disk) -> Overlay | None:
    if isinstance(disk, Overlay):
        return disk
    return disk.overlay if isinstance(disk, Drive) else None


def write_chunks(disk: Disk, out: Sink) -> list[int] | None:
    """Write what was written, chunk by chunk; returns the numbers of the chunks, None for a disk that is read-only."""
    overlay = _overlay(disk)
    if overlay is None:
        return None
    numbers = []
    for offset, data in overlay.chunks():
        out.write(data)
        numbers.append(offset // CHUNK)
    return numbers


def read_chunks(disk: Disk, numbers: list[int] | None, source: BinaryIO) -> None:
    """Let a disk have the chunks that :func:`write_chunks` wrote.

    Raises:
        FieldError: They are not chunks of this disk, or fewer than there should be.
    """
    overlay = _overlay(disk)
    if (overlay is None) != (numbers is None):
        raise FieldError("disks", "are writable in the file or here, not in both")
    if overlay is None or numbers is None:
        return
    if len(set(numbers)) != len(numbers) or any(number * CHUNK >= overlay.disk_size for number in numbers):
        raise FieldError("disks", "have chunks beyond their end")
    for number in numbers:
        start = number * CHUNK
        size = min(CHUNK, overlay.disk_size - start)
        data = source.read(size)
        if len(data) != size:
            raise FieldError("disks", "have more chunks than the file")
        overlay.put_chunk(number, data)
