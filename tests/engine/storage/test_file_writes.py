"""What programs write: files of a folder, and sectors of a disk image."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tdvfsh.engine.protocols.block_io import BlockIoProtocol
from tdvfsh.engine.protocols.simple_file_system import MODE_CREATE, MODE_READ, MODE_WRITE, FileSystemProtocol
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.engine.storage.disk import ImageDisk
from tdvfsh.engine.storage.volumes import ViewVolume
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.uefi.disk import SECTOR
from tdvfsh.uefi.guids import EFI_FILE_INFO_GUID, EFI_FILE_SYSTEM_INFO_GUID, EFI_FILE_SYSTEM_VOLUME_LABEL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.volume import Volume
from tests.engine.programs import guest

READ_WRITE = MODE_READ | MODE_WRITE
SIZE, CREATED, MODIFIED, ATTRIBUTE, NAME = 8, 24, 56, 72, 80
READ_ONLY = 0x01
CHRISTMAS = datetime(2025, 12, 25, 18, 30, 2, tzinfo=UTC)


class Files:
    """A volume's protocol, called as a program would."""

    def __init__(self, firmware: GuestFirmware, volume: Volume) -> None:
        self.firmware = firmware
        self.ram = firmware.ram
        self.protocol = FileSystemProtocol(firmware.context, volume)
        self.room = firmware.context.heap.allocate(1024)
        self.size = firmware.context.heap.allocate(16)
        self.name = firmware.context.heap.allocate(256)
        self.guid = firmware.context.guid_address(EFI_FILE_INFO_GUID)
        assert self.protocol.open_volume(0, self.size) is SUCCESS
        self.root = self.ram.u64(self.size)

    def open(self, name: str, mode: int = READ_WRITE, attributes: int = 0) -> tuple[EfiStatus, int]:
        self.ram.write(self.name, (name + "\0").encode("utf-16-le"))
        status = self.protocol.open(self.root, self.size, self.name, mode, attributes)
        return status, self.ram.u64(self.size) if status is SUCCESS else 0

    def write(self, file: int, data: bytes) -> EfiStatus:
        self.ram.write(self.room, data)
        self.ram.put_u64(self.size, len(data))
        return self.protocol.write(file, self.size, self.room)

    def read(self, file: int, size: int) -> bytes:
        self.ram.put_u64(self.size, size)
        assert self.protocol.read(file, self.size, self.room) is SUCCESS
        return self.ram.read(self.room, self.ram.u64(self.size))

    def info(self, file: int) -> None:
        """Its EFI_FILE_INFO into the room."""
        self.ram.put_u64(self.size, 1024)
        assert self.protocol.get_info(file, self.guid, self.size, self.room) is SUCCESS

    def change(self, file: int, offset: int, data: bytes) -> EfiStatus:
        """GetInfo, other bytes at ``offset``, SetInfo."""
        self.info(file)
        self.ram.write(self.room + offset, data)
        return self.protocol.set_info(file, self.guid, 1024, self.room)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with guest() as (firmware, _):
        yield Files(firmware, HostFolder(str(tmp_path), writable=True))


def efi_time(moment: datetime) -> bytes:
    return struct.pack("<HBBBBBxIhBx", *moment.timetuple()[:6], 0, 0x7FF, 0)


def test_a_new_file_holds_what_was_written_where_it_was_written(files: Files, tmp_path: Path) -> None:
    status, file = files.open("new.txt", READ_WRITE | MODE_CREATE)
    assert status is SUCCESS
    files.write(file, b"0123456789")
    files.protocol.set_position(file, 4)
    files.write(file, b"__")
    files.protocol.set_position(file, 12)
    files.write(file, b"end")
    files.protocol.set_position(file, 0)
    assert files.read(file, 64) == b"0123__6789\0\0end"
    assert files.protocol.flush(file) is SUCCESS
    assert (tmp_path / "new.txt").read_bytes() == b"0123__6789\0\0end"
    assert files.protocol.delete(file) is SUCCESS
    assert not (tmp_path / "new.txt").exists()


def test_what_was_written_before_a_file_became_read_only_is_in_it(files: Files, tmp_path: Path) -> None:
    file = files.open("new.txt", READ_WRITE | MODE_CREATE)[1]
    assert files.write(file, b"kept") is SUCCESS
    assert files.change(file, ATTRIBUTE, struct.pack("<Q", READ_ONLY)) is SUCCESS
    assert files.protocol.close(file) is SUCCESS
    assert (tmp_path / "new.txt").read_bytes() == b"kept"


def test_a_byte_at_a_far_position_costs_neither_memory_nor_disk(files: Files, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        file = files.open(name, READ_WRITE | MODE_CREATE)[1]
        assert files.protocol.set_position(file, (1 << 30) - 8) is SUCCESS
        assert files.write(file, b"x") is SUCCESS
        assert files.protocol.close(file) is SUCCESS
        found = (tmp_path / name).stat()
        assert found.st_size == (1 << 30) - 7
        assert found.st_blocks * 512 <= 1 << 17


def test_directories_are_made_and_listed(files: Files, tmp_path: Path) -> None:
    assert files.open("folder", READ_WRITE | MODE_CREATE, 0x10)[0] is SUCCESS
    assert files.open("folder\\a.txt", READ_WRITE | MODE_CREATE)[0] is SUCCESS
    assert (tmp_path / "folder" / "a.txt").is_file()


def test_a_file_can_be_cut_renamed_and_made_read_only(files: Files, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_bytes(b"0123456789")
    file = files.open("old.txt")[1]
    assert files.change(file, SIZE, struct.pack("<Q", 4)) is SUCCESS
    assert files.change(file, NAME, "new.txt\0".encode("utf-16-le")) is SUCCESS
    assert files.change(file, ATTRIBUTE, struct.pack("<Q", READ_ONLY)) is SUCCESS
    assert files.protocol.close(file) is SUCCESS
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("new.txt", b"0123")]
    assert files.open("new.txt")[0] is EfiStatus.EFI_ACCESS_DENIED
    file = files.open("new.txt", MODE_READ)[1]
    assert files.change(file, ATTRIBUTE, struct.pack("<Q", 0)) is SUCCESS  # the one change that a reader may make
    assert files.open("new.txt")[0] is SUCCESS


def test_the_time_of_change_can_be_set_and_survives_the_close(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "dated.txt"
    path.write_bytes(b"x")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    file = files.open("dated.txt")[1]
    assert files.change(file, MODIFIED, bytes(16)) is SUCCESS  # zeros leave it
    assert path.stat().st_mtime == 1_700_000_000
    assert files.change(file, MODIFIED, efi_time(CHRISTMAS)) is SUCCESS
    assert files.protocol.close(file) is SUCCESS
    assert path.stat().st_mtime == CHRISTMAS.timestamp()


def test_what_cannot_be_set_is_said_and_not_ignored(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x")
    file = files.open("a.txt")[1]
    assert files.change(file, CREATED, efi_time(CHRISTMAS)) is EfiStatus.EFI_UNSUPPORTED
    assert files.change(file, MODIFIED, struct.pack("<HBB12x", 2025, 13, 1)) is EfiStatus.EFI_INVALID_PARAMETER
    reader = files.open("a.txt", MODE_READ)[1]
    for offset, data in ((SIZE, bytes(8)), (NAME, "b\0".encode("utf-16-le"))):
        assert files.change(reader, offset, data) is EfiStatus.EFI_ACCESS_DENIED


def test_a_read_only_volume_refuses_everything() -> None:
    with guest() as (firmware, _):
        files = Files(firmware, ViewVolume({"\\a.txt": memoryview(b"x")}))
        assert files.open("a.txt")[0] is EfiStatus.EFI_WRITE_PROTECTED
        assert files.open("b.txt", READ_WRITE | MODE_CREATE)[0] is EfiStatus.EFI_WRITE_PROTECTED
        file = files.open("a.txt", MODE_READ)[1]
        assert files.write(file, b"y") is EfiStatus.EFI_ACCESS_DENIED
        assert files.change(file, ATTRIBUTE, bytes(8)) is EfiStatus.EFI_WRITE_PROTECTED
        assert files.protocol.delete(file) is EfiStatus.EFI_WARN_DELETE_FAILURE


def test_sectors_go_into_a_disk_image_that_may_be_written_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 * SECTOR))
    with open_mapped(path) as mapped, open(path, "r+b", buffering=0) as stream, guest() as (firmware, _):
        buffer = firmware.context.heap.allocate(SECTOR)
        firmware.ram.write(buffer, b"\xaa" * SECTOR)
        disk = BlockIoProtocol(firmware.context, ImageDisk(mapped.view, stream))
        assert disk.write_blocks(0, 1, 2, SECTOR, buffer) is SUCCESS
        assert disk.write_disk(0, 1, 5, 3, buffer) is SUCCESS
        assert disk.write_blocks(0, 1, 4, SECTOR, buffer) is EfiStatus.EFI_INVALID_PARAMETER
        assert disk.write_blocks(0, 1, 0, 100, buffer) is EfiStatus.EFI_BAD_BUFFER_SIZE
        assert disk.write_blocks(0, 2, 0, SECTOR, buffer) is EfiStatus.EFI_MEDIA_CHANGED
        assert disk.read_blocks(0, 2, 0, 100, buffer) is EfiStatus.EFI_MEDIA_CHANGED
        expected = bytes(5) + b"\xaa" * 3 + bytes(2 * SECTOR - 8) + b"\xaa" * SECTOR + bytes(SECTOR)
        assert path.read_bytes() == expected
        firmware.ram.write(buffer, bytes(SECTOR))
        assert disk.read_blocks(0, 1, 2, SECTOR, buffer) is SUCCESS
        assert firmware.ram.read(buffer, SECTOR) == b"\xaa" * SECTOR
        read_only = BlockIoProtocol(firmware.context, ImageDisk(mapped.view))
        assert read_only.write_blocks(0, 1, 0, SECTOR, buffer) is EfiStatus.EFI_WRITE_PROTECTED
        media = [firmware.ram.u64(protocol.block_io() + 8) for protocol in (disk, read_only)]
        assert [firmware.ram.u8(address + 7) for address in media] == [0, 1]  # ReadOnly


def test_a_file_is_not_made_larger_than_the_host_should_hold_in_memory(files: Files) -> None:
    file = files.open("large.bin", READ_WRITE | MODE_CREATE)[1]
    files.protocol.set_position(file, 1 << 62)
    assert files.write(file, b"x") is EfiStatus.EFI_VOLUME_FULL
    assert files.change(file, SIZE, struct.pack("<Q", 1 << 62)) is EfiStatus.EFI_VOLUME_FULL
    assert files.protocol.close(file) is SUCCESS


def test_flush_of_a_handle_for_reading_is_refused_and_of_the_root_is_not(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x")
    assert files.protocol.flush(files.open("a.txt", MODE_READ)[1]) is EfiStatus.EFI_ACCESS_DENIED
    assert files.protocol.flush(files.open("a.txt")[1]) is SUCCESS
    assert files.protocol.flush(files.root) is SUCCESS


def test_facts_that_do_not_fit_their_buffer_are_refused(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x")
    file = files.open("a.txt")[1]
    files.firmware.ram.put_u64(files.room + 512, 256)
    assert files.protocol.get_info(file, files.guid, files.room + 512, files.room) is SUCCESS
    bad = EfiStatus.EFI_BAD_BUFFER_SIZE
    assert files.protocol.set_info(file, files.guid, 79, files.room) is bad
    assert files.protocol.set_info(file, files.guid, files.firmware.ram.u64(files.room) - 1, files.room) is bad
    assert files.protocol.set_info(file, files.guid, files.firmware.ram.u64(files.room), files.room) is SUCCESS


def test_an_invalid_attribute_or_another_directory_bit_changes_nothing(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    file = files.open("a.txt")[1]
    files.firmware.ram.put_u64(files.room + 512, 256)
    for attribute, status in ((0x40, EfiStatus.EFI_INVALID_PARAMETER), (0x10, EfiStatus.EFI_ACCESS_DENIED)):
        assert files.protocol.get_info(file, files.guid, files.room + 512, files.room) is SUCCESS
        files.firmware.ram.put_u64(files.room + SIZE, 1)
        files.firmware.ram.put_u64(files.room + NAME - 8, attribute)
        assert files.protocol.set_info(file, files.guid, 256, files.room) is status
    assert files.protocol.close(file) is SUCCESS
    assert (tmp_path / "a.txt").read_bytes() == b"abc"
    name = files.firmware.context.heap.allocate(64)
    files.firmware.ram.write(name, "new\0".encode("utf-16-le"))
    mode = MODE_READ | 2 | 1 << 63
    assert files.protocol.open(files.root, files.room, name, mode, 0x40) is EfiStatus.EFI_INVALID_PARAMETER
    assert not (tmp_path / "new").exists()


def test_a_read_only_file_changes_in_its_attributes_only_and_can_be_deleted(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    file = files.open("a.txt")[1]
    assert files.change(file, NAME - 8, struct.pack("<Q", 1)) is SUCCESS
    assert files.change(file, SIZE, bytes(8)) is EfiStatus.EFI_ACCESS_DENIED
    assert files.change(file, NAME, "b\0".encode("utf-16-le")) is EfiStatus.EFI_ACCESS_DENIED
    assert files.change(file, MODIFIED, efi_time(CHRISTMAS)) is SUCCESS  # and it stays as it is, as on OVMF
    assert (tmp_path / "a.txt").read_bytes() == b"abc"
    assert files.protocol.delete(file) is SUCCESS  # of a handle for writing, as on OVMF
    assert not (tmp_path / "a.txt").exists()


def test_a_file_is_not_renamed_over_another(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "b.txt").write_bytes(b"b")
    file = files.open("a.txt")[1]
    assert files.change(file, NAME, "B.TXT\0".encode("utf-16-le")) is EfiStatus.EFI_ACCESS_DENIED
    assert (tmp_path / "b.txt").read_bytes() == b"b"


def test_the_label_of_a_volume_can_be_set_as_fact_or_alone(files: Files) -> None:
    ram, label = files.firmware.ram, files.firmware.context.guid_address(EFI_FILE_SYSTEM_VOLUME_LABEL_GUID)
    facts = files.firmware.context.guid_address(EFI_FILE_SYSTEM_INFO_GUID)

    def stored() -> str:
        ram.put_u64(files.room + 512, 256)
        assert files.protocol.get_info(files.root, label, files.room + 512, files.room) is SUCCESS
        return ram.utf16(files.room)

    ram.write(files.room, "new name\0".encode("utf-16-le"))
    assert files.protocol.set_info(files.root, label, 1, files.room) is EfiStatus.EFI_BAD_BUFFER_SIZE
    assert files.protocol.set_info(files.root, label, 18, files.room) is SUCCESS
    assert stored() == "NEW NAME"
    ram.write(files.room, struct.pack("<Q28x", 40) + "b\0".encode("utf-16-le"))
    assert files.protocol.set_info(files.root, facts, 35, files.room) is EfiStatus.EFI_BAD_BUFFER_SIZE
    assert files.protocol.set_info(files.root, facts, 40, files.room) is SUCCESS
    assert stored() == "B"
    ram.write(files.room, "longer than eleven\0".encode("utf-16-le"))
    assert files.protocol.set_info(files.root, label, 64, files.room) is EfiStatus.EFI_UNSUPPORTED


def test_functions_with_a_token_do_their_work_and_signal_its_event(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    ram, events = files.firmware.ram, files.firmware.core.events
    file, buffer, token = files.open("a.txt")[1], files.room, files.firmware.context.heap.allocate(32)
    code = ram.u64(file + 8 * 12)
    event = events.create_event()
    ram.write(token, struct.pack("<QQQQ", event, 99, 8, buffer))
    assert files.firmware.context.call(code, file, token) == SUCCESS
    assert struct.unpack("<QQQ", ram.read(token, 24)) == (event, SUCCESS, 3)
    assert ram.read(buffer, 3) == b"abc"
    assert events.check_event(event) is SUCCESS
    ram.write(token, struct.pack("<QQQQ", 0, 99, 2, buffer))
    assert files.firmware.context.call(ram.u64(file + 8 * 13), file, token) == SUCCESS
    assert files.firmware.context.call(ram.u64(file + 8 * 14), file, token) == SUCCESS
    assert (tmp_path / "a.txt").read_bytes() == b"abcab"
    assert files.firmware.context.call(code, file, 0) == EfiStatus.EFI_INVALID_PARAMETER
