"""What a guest writes to a disk: kept in memory over the image, which stays as it is."""

from __future__ import annotations

from collections.abc import Iterator

from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.disk import ReadableDisk
from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import GIB, KIB

CHUNK: Final = 64 * KIB
LARGEST: Final = GIB


class Overlay:
    """A disk over another one.

    Args:
        base: The disk below.
        most: Bytes of memory that what is written may take.
    """

    writable = True

    def __init__(self, base: ReadableDisk, most: int = LARGEST) -> None:
        self._base = base
        self._left = most // CHUNK
        self._chunks: dict[int, bytearray] = {}

    @property
    def disk_size(self) -> int:
        """Bytes, whole sectors."""
        return self._base.disk_size

    @property
    def is_full(self) -> bool:
        """Whether no more can be written where nothing was."""
        return not self._left

    @property
    def written_bytes(self) -> int:
        """Bytes of memory that it takes."""
        return len(self._chunks) * CHUNK

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """What was written, by offset, in ascending order; a chunk ends with the disk."""
        for number in sorted(self._chunks):
            yield number * CHUNK, bytes(self._chunks[number])

    def read_disk(self, offset: int, size: int) -> bytes:
        """A copy."""
        end = offset + size
        first, last = offset // CHUNK, -(-end // CHUNK)
        if not self._chunks or not any(number in self._chunks for number in range(first, last)):
            return self._base.read_disk(offset, size)
        data = bytearray(self._base.read_disk(offset, size))
        for number in range(first, last):
            chunk = self._chunks.get(number)
            if chunk is not None:
                start = number * CHUNK
                low, high = max(offset, start), min(end, start + len(chunk))
                data[low - offset : high - offset] = memoryview(chunk)[low - start : high - start]
        return bytes(data)

    def write_disk(self, offset: int, data: bytes) -> None:
        """Keep ``data``.

        Raises:
            FileSystemError: VOLUME_FULL, where the memory for it is used up; a part may have been written.
        """
        done = 0
        while done < len(data):
            number, at = divmod(offset + done, CHUNK)
            length = min(len(data) - done, CHUNK - at)
            self._own(number)[at : at + length] = data[done : done + length]
            done += length

    def put_chunk(self, number: int, data: bytes) -> None:
        """Keep a whole chunk, by its number, without reading what is below; raises FileSystemError as above."""
        if number not in self._chunks:
            if not self._left:
                raise FileSystemError(EfiStatus.EFI_VOLUME_FULL)
            self._left -= 1
        self._chunks[number] = bytearray(data)

    def _own(self, number: int) -> bytearray:
        chunk = self._chunks.get(number)
        if chunk is None:
            if not self._left:
                raise FileSystemError(EfiStatus.EFI_VOLUME_FULL)
            start = number * CHUNK
            chunk = bytearray(self._base.read_disk(start, min(CHUNK, self.disk_size - start)))
            self._chunks[number] = chunk
            self._left -= 1
        return chunk
