"""Files of the host that change under a guest: an error for the user or the guest, never a signal or a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tdvfsh.engine.protocols.block_io import BlockIoProtocol
from tdvfsh.engine.protocols.load_file import LoadFile2Protocol
from tdvfsh.engine.storage.disk import ImageDisk
from tdvfsh.engine.storage.fat import FatDisk
from tdvfsh.engine.storage.volumes import ViewVolume
from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.loaders.media import InitrdLoadFile2
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.uefi.disk import SECTOR, Disk
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.programs import guest

MEDIA_ID = 1
FILE = b"".join(bytes((number,)) * SECTOR for number in range(1, 129))
SHRANK = "became shorter"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of 128 sectors that can be told apart, alone in its folder."""
    file = tmp_path / "file"
    file.write_bytes(FILE)
    return file


def read_sector(disk: Disk, lba: int) -> tuple[EfiStatus, bytes]:
    """ReadBlocks of one sector, as a guest would call it."""
    with guest() as (firmware, _):
        buffer = firmware.context.heap.allocate(SECTOR)
        status = BlockIoProtocol(firmware.context, disk).read_blocks(0, MEDIA_ID, lba, SECTOR, buffer)
        return status, firmware.ram.read(buffer, SECTOR)


def sector_of(disk: FatDisk, data: bytes) -> int:
    """Where a file's sector lies on a disk."""
    return next(lba for lba in range(disk.disk_size // SECTOR) if disk.read_disk(lba * SECTOR, SECTOR) == data)


def test_a_disk_image_that_shrank_is_an_error_that_names_it_and_no_signal(path: Path) -> None:
    with open_mapped(path) as file:
        disk = ImageDisk(file.view)
        assert read_sector(disk, 127) == (SUCCESS, FILE[-SECTOR:])
        os.truncate(path, 16)
        with pytest.raises(FormatError, match=SHRANK):
            read_sector(disk, 127)


def test_a_file_that_shrank_on_a_disk_made_from_mapped_files_is_no_signal(path: Path) -> None:
    with open_mapped(path) as file:
        disk = FatDisk(ViewVolume({"\\file": file.view}))
        last = sector_of(disk, FILE[-SECTOR:])
        os.truncate(path, 16)
        with pytest.raises(FormatError, match=SHRANK):
            read_sector(disk, last)


def test_sectors_of_a_folder_s_file_that_shrank_or_went_away_are_a_device_error(path: Path) -> None:
    disk = FatDisk(HostFolder(str(path.parent)))
    last = sector_of(disk, FILE[-SECTOR:])
    assert read_sector(disk, last) == (SUCCESS, FILE[-SECTOR:])
    os.truncate(path, len(FILE) - 16)
    assert read_sector(disk, last) == (EfiStatus.EFI_DEVICE_ERROR, bytes(SECTOR))
    path.unlink()
    assert read_sector(disk, last) == (EfiStatus.EFI_DEVICE_ERROR, bytes(SECTOR))


def test_an_initrd_is_read_whole_or_not_at_all(path: Path) -> None:
    with open_mapped(path) as file, guest() as (firmware, _):
        pieces = [(0, file.view), (len(FILE) + 4, memoryview(b"tail"))]
        protocol = LoadFile2Protocol(firmware.context, InitrdLoadFile2(len(FILE) + 8, pieces))
        buffer = firmware.context.heap.allocate(len(FILE) + 8)
        firmware.ram.write(buffer, b"\xff" * (len(FILE) + 8))
        size = firmware.context.heap.allocate(8)
        firmware.ram.put_u64(size, len(FILE) + 8)
        assert protocol.load_file(0, size, 0, size, buffer) is SUCCESS
        assert firmware.ram.read(buffer, len(FILE) + 8) == FILE + bytes(4) + b"tail"
        os.truncate(path, 16)
        with pytest.raises(FormatError, match=SHRANK):
            protocol.load_file(0, size, 0, size, buffer)
