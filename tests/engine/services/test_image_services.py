"""Files that programs load for LoadImage, texts that images bring with them, and configuration tables."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tdvfsh.dxe.events import EVT_NOTIFY_SIGNAL, TPL_CALLBACK
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.uefi.device_path import DevicePath, FilePath, VenHw
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_HII_PACKAGE_LIST_PROTOCOL_GUID,
    EFI_LOAD_FILE2_PROTOCOL_GUID,
    EFI_LOAD_FILE_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.assembler import Program, pe_image
from tests.engine.client import OWN
from tests.engine.programs import Caller, guest

NOT_FOUND = EfiStatus.EFI_NOT_FOUND
RESOURCES = 2  # data directory of .rsrc
DEVICE = DevicePath((VenHw(Guid("22222222-3333-4444-5555-666666666666")),))
FILE = DEVICE / FilePath("\\program.efi")


class Loading(Caller):
    """A handle with a device path and a program's LoadFile on it."""

    def __init__(self, firmware: GuestFirmware) -> None:
        super().__init__(firmware)
        self.calls = self.put(bytes(16))
        self.image = Program().ret(0).image()

    def offer(self, protocol: Guid, *, fails: bool = False) -> None:
        self.ram.put_u64(self.room, 0)
        for guid, interface in (
            (EFI_DEVICE_PATH_PROTOCOL_GUID, self.put(DEVICE.pack())),
            (protocol, self.put(struct.pack("<Q", self.load_file(fails)))),
        ):
            assert self.boot("InstallProtocolInterface", self.room, self.guid(guid), 0, interface) == SUCCESS

    def load_file(self, fails: bool) -> int:
        """LoadFile: counts its calls, keeps BootPolicy, says how large the image is, and copies it."""
        image = self.put(self.image)
        program = Program(prologue=False).raw("56 57")  # push rsi, rdi
        program.mov("rax", self.calls).raw("FF00").store("rax", 8, "r8")  # inc dword [rax]; mov [rax + 8], r8
        if fails:
            program.mov("rax", EfiStatus.EFI_DEVICE_ERROR).raw("5F 5E C3")
        program.load("rax", "rsp", 0x38).jump_if_error("copy")  # a buffer
        program.mov("rax", len(self.image)).store("r9", 0, "rax")
        program.mov("rax", EfiStatus.EFI_BUFFER_TOO_SMALL).raw("5F 5E C3")
        program.label("copy").copy("rdi", "rax").mov("rsi", image).mov("rcx", len(self.image)).raw("F3A4")  # rep movsb
        return self.put(program.mov("rax", 0).raw("5F 5E C3").code())

    def load(self, boot_policy: int = 0) -> int:
        parent = self.firmware.machine.firmware_image
        return self.boot("LoadImage", boot_policy, parent, self.put(FILE.pack()), 0, 0, self.room + 64)


@pytest.fixture
def loading() -> Iterator[Loading]:
    with guest() as (firmware, _):
        yield Loading(firmware)


@pytest.mark.parametrize("protocol", [EFI_LOAD_FILE_PROTOCOL_GUID, EFI_LOAD_FILE2_PROTOCOL_GUID])
def test_an_image_is_loaded_through_a_program_s_own_load_file(loading: Loading, protocol: Guid) -> None:
    loading.offer(protocol)
    assert loading.load() == SUCCESS
    assert loading.ram.u32(loading.calls) == 2  # how large, and the file
    image = loading.firmware.services.images.loaded_image(loading.ram.u64(loading.room + 64))
    assert image is not None
    assert bytes(image.source) == loading.image
    assert image.file_path == DevicePath((FilePath("\\program.efi"),))
    assert loading.boot("StartImage", loading.ram.u64(loading.room + 64), 0, 0) == SUCCESS


def test_the_boot_manager_asks_load_file_only_and_says_who_asks(loading: Loading) -> None:
    loading.offer(EFI_LOAD_FILE2_PROTOCOL_GUID)
    assert loading.load(boot_policy=1) == NOT_FOUND
    assert loading.ram.u32(loading.calls) == 0


def test_the_boot_policy_reaches_load_file(loading: Loading) -> None:
    loading.offer(EFI_LOAD_FILE_PROTOCOL_GUID)
    assert loading.load(boot_policy=1) == SUCCESS
    assert loading.ram.u64(loading.calls + 8) & 0xFF == 1


def test_a_load_file_that_fails_is_a_file_that_is_not_there_and_leaves_no_buffer(loading: Loading) -> None:
    loading.offer(EFI_LOAD_FILE_PROTOCOL_GUID, fails=True)
    before = loading.firmware.core.memory_map.copy()
    assert loading.load() == NOT_FOUND
    assert list(loading.firmware.core.memory_map) == list(before)


def image_with_texts() -> bytes:
    """An image whose resource section has a package list of no packages, typed HII."""
    directory = bytes(12) + struct.pack("<HH", 1, 0)
    name = struct.pack("<H6s", 3, "HII".encode("utf-16-le"))
    text_at, next_at, data_at = 0x60, 0x18, 0x50
    tree = directory + struct.pack("<II", 0x80000000 | text_at, 0x80000000 | next_at)
    tree += directory + struct.pack("<II", 1, 0x80000000 | 0x30)
    tree += directory + struct.pack("<II", 0, data_at)
    package_list = OWN.bytes_le + struct.pack("<I", 24) + struct.pack("<I", 4 | 0xDF << 24)
    tree = tree.ljust(data_at, b"\0") + struct.pack("<IIII", 0x1080 + 0x70, len(package_list), 0, 0)
    tree = tree.ljust(text_at, b"\0") + name
    tree = tree.ljust(0x70, b"\0") + package_list
    image = bytearray(pe_image(Program().ret(0).code().ljust(0x80, b"\x90") + tree))
    struct.pack_into("<II", image, 64 + 24 + 112 + 8 * RESOURCES, 0x1080, len(tree))
    return bytes(image)


def test_the_texts_of_an_image_are_there_once_it_is_loaded_and_gone_once_it_is_unloaded(loading: Loading) -> None:
    loading.image = image_with_texts()
    loading.offer(EFI_LOAD_FILE_PROTOCOL_GUID)
    assert loading.load() == SUCCESS
    handle = loading.ram.u64(loading.room + 64)
    texts = loading.guid(EFI_HII_PACKAGE_LIST_PROTOCOL_GUID)
    assert loading.boot("HandleProtocol", handle, texts, loading.room) == SUCCESS
    assert loading.ram.guid(loading.ram.u64(loading.room)) == OWN
    assert loading.boot("UnloadImage", handle) == SUCCESS
    assert loading.boot("LocateProtocol", texts, 0, loading.room) == NOT_FOUND


def test_installing_a_table_signals_its_event_group_after_it_is_in_the_system_table(loading: Loading) -> None:
    seen = loading.put(bytes(16))
    count_at = loading.firmware.tables.system_table + 104
    before = loading.ram.u64(count_at)
    notify = Program(prologue=False).mov("rax", seen).raw("FF00").mov("rcx", count_at).load("rcx", "rcx")
    code = loading.put(notify.store("rax", 8, "rcx").raw("C3").code())
    own = loading.guid(OWN)
    assert loading.boot("CreateEventEx", EVT_NOTIFY_SIGNAL, TPL_CALLBACK, code, 0, own, loading.room) == SUCCESS
    assert loading.boot("InstallConfigurationTable", own, 0) == NOT_FOUND
    assert loading.ram.u32(seen) == 0
    assert loading.boot("InstallConfigurationTable", own, 0x1000) == SUCCESS
    assert (loading.ram.u32(seen), loading.ram.u64(seen + 8)) == (1, before + 1)
    assert loading.boot("InstallConfigurationTable", own, 0) == SUCCESS
    assert (loading.ram.u32(seen), loading.ram.u64(seen + 8)) == (2, before)
