"""The block device: requests on a disk of 512-byte sectors.

A request that the disk cannot carry out gets an error status; one without room for a status stops the device.

Source: Virtual I/O Device (VIRTIO) 1.2, 5.2; QEMU hw/block/virtio-blk.c.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence

from tdvfsh.engine.virtio.device import VirtioDevice
from tdvfsh.engine.virtio.memory import Refused, Scattered
from tdvfsh.engine.virtio.queue import LARGEST
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.disk import SECTOR, Disk
from tdvfsh.uefi.filesystem import FileSystemError

_SEGMENTS: Final = 1 << 2
_READ_ONLY: Final = 1 << 5
_BLOCK_SIZE: Final = 1 << 6
_FLUSH: Final = 1 << 9
_CONFIGURATION_SIZE: Final = 60
_HEADER: Final = struct.Struct("<IIQ")
_IN, _OUT, _FLUSH_REQUEST, _GET_ID = 0, 1, 4, 8
_OK, _ERROR, _UNSUPPORTED = b"\0", b"\1", b"\2"
_ID_SIZE: Final = 20
_PIECE: Final = 1 << 20


class BlockDevice:
    """The device.

    Args:
        store: Its disk.
        serial: At most 20 bytes, by which the guest tells disks apart.
        missing: Counts requests that were refused.
    """

    kind = 2
    class_code = 0x010000
    name = "virtio block"
    queues = 1

    def __init__(self, store: Disk, serial: bytes, missing: Counter[str]) -> None:
        self._store = store
        self._serial = serial[:_ID_SIZE].ljust(_ID_SIZE, b"\0")
        self._missing = missing
        self.features = _SEGMENTS | _BLOCK_SIZE | _FLUSH | (0 if store.writable else _READ_ONLY)

    def configuration(self) -> bytes:
        """Capacity, segments a request and block size."""
        head = struct.pack("<QIIHBBI", self._store.disk_size // SECTOR, 0, LARGEST - 2, 0, 0, 0, SECTOR)
        return head.ljust(_CONFIGURATION_SIZE, b"\0")

    def waits(self, queue: int) -> bool:
        """Never."""
        return False

    def serve(self, queue: int, readable: Scattered, writable: Scattered) -> int:
        """One request: its header, its data, and its status in the last byte."""
        header = readable.read(_HEADER.size)
        if len(header) < _HEADER.size or not writable.size:
            raise Refused("a request without a header or without room for its status")
        kind, _, sector = _HEADER.unpack(header)
        room = writable.size - 1
        try:
            status = self._perform(kind, sector * SECTOR, room, readable, writable)
        except FileSystemError:
            status = _ERROR
        writable.skip(writable.left - 1)
        writable.write(status)
        return writable.size

    def _perform(self, kind: int, offset: int, room: int, readable: Scattered, writable: Scattered) -> bytes:
        if kind == _FLUSH_REQUEST:
            return _OK
        if kind == _GET_ID:
            writable.write(self._serial[:room])
            return _OK
        if kind not in (_IN, _OUT):
            self._missing[f"{self.name}: a request of kind {kind if kind < 32 else 'above 31'}"] += 1
            return _UNSUPPORTED
        size = room if kind == _IN else readable.left
        if size % SECTOR or offset + size > self._store.disk_size:
            self._missing[f"{self.name}: a request beyond the end of the disk, or for a part of a sector"] += 1
            return _ERROR
        if kind == _OUT and not self._store.writable:
            self._missing[f"{self.name}: a write to a disk that is read-only"] += 1
            return _ERROR
        for at in range(offset, offset + size, _PIECE):
            length = min(_PIECE, offset + size - at)
            if kind == _IN:
                writable.write(self._store.read_disk(at, length))
            else:
                self._store.write_disk(at, readable.read(length))
        return _OK


def block_devices(stores: Sequence[Disk], missing: Counter[str]) -> list[VirtioDevice]:
    """A device for each disk, with serial numbers by which a guest tells them apart."""
    return [BlockDevice(store, f"tdvfsh-{number}".encode(), missing) for number, store in enumerate(stores)]
