"""Contents of a file that a guest has changed and not yet closed: what it wrote is kept, holes cost nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.filesystem import FileSystemError, Parts
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.uefi.volume import Volume

CHUNK: Final = 1 << 16
_FULL: Final = EfiStatus.EFI_VOLUME_FULL


class WriteBudget:
    """Host memory that all files of a volume may take between them until they are written back.

    Args:
        chunks: Chunks of :data:`CHUNK` bytes.
    """

    def __init__(self, chunks: int = 1024) -> None:
        self._left = chunks

    def take(self) -> None:
        """One chunk more; raises FileSystemError, VOLUME_FULL where there is none."""
        if not self._left:
            raise FileSystemError(_FULL)
        self._left -= 1

    def give_back(self, chunks: int) -> None:
        """These are no longer held."""
        self._left += chunks


class SparseFile:
    """A file's contents over those that its volume has.

    Args:
        volume: Where the file lies; what was not written is read from there.
        parts: The file.
        size: Its size in bytes.
        budget: What the written chunks are taken from.
    """

    def __init__(self, volume: Volume, parts: Parts, size: int, budget: WriteBudget) -> None:
        self._volume = volume
        self._parts = parts
        self._below = size  # bytes of the volume's own that still show
        self._budget = budget
        self._chunks: dict[int, bytearray] = {}
        self.size = size

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``; raises FileSystemError."""
        end = min(offset + size, self.size)
        pieces = []
        while offset < end:
            number, at = divmod(offset, CHUNK)
            length = min(end - offset, CHUNK - at)
            pieces.append(bytes(self._chunk(number)[at : at + length]))
            offset += length
        return b"".join(pieces)

    def write(self, offset: int, data: bytes) -> None:
        """Store bytes, with a hole before them where ``offset`` is after the end; raises FileSystemError."""
        done = 0
        while done < len(data):
            number, at = divmod(offset + done, CHUNK)
            length = min(len(data) - done, CHUNK - at)
            chunk = self._own(number)
            chunk[at : at + length] = data[done : done + length]
            done += length
            self.size = max(self.size, offset + done)

    def resize(self, size: int) -> None:
        """Cut it, or let a hole follow; raises FileSystemError."""
        if size < self.size:
            first = -(-size // CHUNK)
            gone = [number for number in self._chunks if number >= first]
            for number in gone:
                del self._chunks[number]
            self._budget.give_back(len(gone))
            if size % CHUNK and size < max(self._below, self.size):
                chunk = self._own(size // CHUNK)
                chunk[size % CHUNK :] = bytes(CHUNK - size % CHUNK)
            self._below = min(self._below, size)
        self.size = size

    def pieces(self) -> Iterator[bytes | int]:
        """All of it in order: bytes, or how many zeros follow; raises FileSystemError."""
        hole = 0
        for number in range(-(-self.size // CHUNK)):
            length = min(CHUNK, self.size - number * CHUNK)
            if number not in self._chunks and number * CHUNK >= self._below:
                hole += length
                continue
            if hole:
                yield hole
                hole = 0
            yield bytes(self._chunk(number)[:length])
        if hole:
            yield hole

    def close(self) -> None:
        """Nothing of it is held any more."""
        self._budget.give_back(len(self._chunks))
        self._chunks.clear()

    def _chunk(self, number: int) -> bytes | bytearray:
        return self._chunks[number] if number in self._chunks else self._from_volume(number)

    def _own(self, number: int) -> bytearray:
        if number not in self._chunks:
            data = self._from_volume(number)
            self._budget.take()
            self._chunks[number] = bytearray(data)
        return self._chunks[number]

    def _from_volume(self, number: int) -> bytes:
        length = max(0, min(CHUNK, self._below - number * CHUNK))
        data = self._volume.read(self._parts, length, number * CHUNK) if length else b""
        return data.ljust(CHUNK, b"\0")
