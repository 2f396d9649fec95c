"""The firmware's own drivers on the board's devices, beside what OVMF's drivers do on QEMU's q35."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER, EFI_OPEN_PROTOCOL_BY_DRIVER
from tdvfsh.engine.storage.disks import attach_disk, attach_volume, disk_path
from tdvfsh.engine.storage.fat import FatDisk
from tdvfsh.engine.storage.volumes import VolumeFileSystem
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.uefi.device_path import HardDrive
from tdvfsh.uefi.guids import (
    EFI_ABSOLUTE_POINTER_PROTOCOL_GUID,
    EFI_ATA_PASS_THRU_PROTOCOL_GUID,
    EFI_BLOCK_IO_PROTOCOL_GUID,
    EFI_COMPONENT_NAME2_PROTOCOL_GUID,
    EFI_COMPONENT_NAME_PROTOCOL_GUID,
    EFI_CONSOLE_IN_DEVICE_GUID,
    EFI_CONSOLE_OUT_DEVICE_GUID,
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_DISK_IO_PROTOCOL_GUID,
    EFI_DRIVER_BINDING_PROTOCOL_GUID,
    EFI_EXT_SCSI_PASS_THRU_PROTOCOL_GUID,
    EFI_FIRMWARE_VOLUME2_PROTOCOL_GUID,
    EFI_IDE_CONTROLLER_INIT_PROTOCOL_GUID,
    EFI_PCI_IO_PROTOCOL_GUID,
    EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID,
    EFI_SERIAL_IO_PROTOCOL_GUID,
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID,
    EFI_SIMPLE_POINTER_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID,
    EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID,
    EFI_SIO_PROTOCOL_GUID,
    EFI_STANDARD_ERROR_DEVICE_GUID,
    Guid,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.client import Client
from tests.engine.programs import guest

RECORDED = Path("tests/recordings/drivers")
INVALID, UNSUPPORTED = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_UNSUPPORTED
NAMES = {
    "PCIRootBridgeIO": EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID, "PCIIO": EFI_PCI_IO_PROTOCOL_GUID,
    "ExtendedSCSIPassThru": EFI_EXT_SCSI_PASS_THRU_PROTOCOL_GUID, "AtaPassThru": EFI_ATA_PASS_THRU_PROTOCOL_GUID,
    "IdeControllerInit": EFI_IDE_CONTROLLER_INIT_PROTOCOL_GUID, "DevicePath": EFI_DEVICE_PATH_PROTOCOL_GUID,
    "Sio": EFI_SIO_PROTOCOL_GUID, "ConsoleIn": EFI_CONSOLE_IN_DEVICE_GUID, "ConsoleOut": EFI_CONSOLE_OUT_DEVICE_GUID,
    "StdErr": EFI_STANDARD_ERROR_DEVICE_GUID, "SerialIO": EFI_SERIAL_IO_PROTOCOL_GUID,
    "SimpleTextIn": EFI_SIMPLE_TEXT_INPUT_PROTOCOL_GUID, "SimpleTextOut": EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID,
    "SimpleFileSystem": EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, "DiskIO": EFI_DISK_IO_PROTOCOL_GUID,
    "BlockIO": EFI_BLOCK_IO_PROTOCOL_GUID,
}  # fmt: skip
KINDS = {"Driver": EFI_OPEN_PROTOCOL_BY_DRIVER, "Child": EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER}
ISA = "PciRoot(0x0)/Pci(0x1F,0x0)"
UART = f"{ISA}/Path(2,1,D041010500000000)/Path(3,14,0000000000C2010000000000080101)"
DEVICES = {
    0x35: "PciRoot(0x0)", 0x6D: "in", 0x6E: "out", 0x6F: "error", 0xA8: "PciRoot(0x0)/Pci(0x0,0x0)", 0xA9: ISA,
    0xAA: "PciRoot(0x0)/Pci(0x1F,0x2)", 0xAB: "PciRoot(0x0)/Pci(0x1F,0x3)",
    0xAF: f"{ISA}/Path(2,1,D041010500000000)", 0xB0: f"{ISA}/Path(2,1,D041010501000000)",
    0xB1: f"{ISA}/Path(2,1,D041030300000000)", 0xB2: UART, 0xB3: f"{UART}/Path(3,10,D6A015ADEC8BCF4AA073D01DE77E2D88)",
    0xB4: str(disk_path(0)), 0xB5: str(disk_path(1)), 0xB6: "partition",
}  # fmt: skip
"""Handles of the recording, by what they are here."""
Use = tuple[str, str, str, int]


class Board:
    """A machine with the disks of the recording: a volume, and a disk with one partition."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.machine = client.firmware.machine
        self.handles = self.machine.services.handles
        volume = HostFolder(str(folder), writable=False)
        install = self.handles.install_protocol_interface
        self.volume = attach_volume(self.machine, 0, volume)
        self.disk = attach_disk(self.machine, 1, FatDisk(volume))
        partition = HardDrive(1, 2048, 129024, bytes.fromhex("f649bf4d").ljust(16, b"\0"), 1, 1)
        path = disk_path(1) / partition
        self.partition = install(None, EFI_DEVICE_PATH_PROTOCOL_GUID, path).handle or 0
        disk = FatDisk(volume)
        for guid in (EFI_BLOCK_IO_PROTOCOL_GUID, EFI_DISK_IO_PROTOCOL_GUID):
            install(self.partition, guid, disk)
        install(self.partition, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID, VolumeFileSystem(volume))
        self.take_over()

    def take_over(self) -> None:
        self.client.firmware._drivers.take_over_disks()

    def named(self) -> dict[int, str]:
        """What each device's handle is."""
        tables = self.client.ram.read(self.client.firmware.tables.system_table + 0x28, 48)
        console = [int.from_bytes(tables[at : at + 8], "little") for at in (0, 16, 32)]
        names = dict(zip(console, ("in", "out", "error"), strict=True))
        for handle in self.handles.locate_handles(EFI_DEVICE_PATH_PROTOCOL_GUID):
            names[handle] = str(self.handles.protocols(handle)[EFI_DEVICE_PATH_PROTOCOL_GUID])
        return names | {self.partition: "partition"}

    def handle(self, name: str) -> int:
        return next(handle for handle, one in self.named().items() if one == name)

    def driver(self, name: str, number: int = 0) -> int:
        """The handle of a driver's binding."""
        found = [
            handle
            for handle in self.handles.locate_handles(EFI_DRIVER_BINDING_PROTOCOL_GUID)
            if self.driver_name(handle) == name
        ]
        return found[number]

    def driver_name(self, handle: int) -> str:
        """GetDriverName(), as a program calls it."""
        address = self.interface(handle, EFI_COMPONENT_NAME2_PROTOCOL_GUID)
        assert self.client.member(address, 0, address, self.client.put(b"en\0"), self.client.room) == SUCCESS
        return self.client.ram.utf16(self.client.ram.u64(self.client.room))

    def interface(self, handle: int, guid: Guid) -> int:
        assert self.client.boot("HandleProtocol", handle, self.client.guid(guid), self.client.room) == SUCCESS
        return self.client.ram.u64(self.client.room)

    def uses(self) -> set[Use]:
        """All that is open by a driver or for a child: whose, by which protocol, by which driver, how."""
        named, guids = self.named(), {guid: name for name, guid in NAMES.items()}
        return {
            (f"{named[handle]} {guids[guid]}", self.driver_name(use.agent_handle), named[use.controller_handle],
             use.attributes)
            for handle, guid, entries in self.handles.opens.items()
            for use in entries
            if use.attributes in KINDS.values()
        }  # fmt: skip


def recorded_uses() -> set[Use]:
    """The same of the recording, of protocols that are here, too."""
    uses: set[Use] = set()
    device = protocol = ""
    for line in (RECORDED / "openinfo.txt").read_text().splitlines():
        if (found := re.match(r"== (\w+)$", line)) is not None:
            device = DEVICES.get(int(found[1], 16), "")
        elif (
            found := re.match(r"  Drv\[..\] Ctrl\[(..)\] Cnt\(01\) (Driver|Child) +Image\((.*)\)$", line)
        ) is not None:
            if protocol in NAMES:
                uses.add((f"{device} {protocol}", found[3], DEVICES[int(found[1], 16)], KINDS[found[2]]))
        elif not line.startswith(" "):
            protocol = line
    return uses


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    (tmp_path / "file.txt").write_text("text")
    with guest() as (firmware, output):
        yield Board(Client(firmware, output), tmp_path)


def test_every_device_is_opened_by_the_drivers_that_open_it_on_ovmf(board: Board) -> None:
    assert recorded_uses() == board.uses()
    assert len(board.uses()) == 43


def test_drivers_have_the_names_and_versions_that_the_shell_prints_on_ovmf(board: Board) -> None:
    recorded = [line[3:11] + line[24:59].rstrip() for line in (RECORDED / "drivers.txt").read_text().splitlines()[5:]]
    ours = []
    for handle in board.handles.locate_handles(EFI_DRIVER_BINDING_PROTOCOL_GUID):
        binding = board.interface(handle, EFI_DRIVER_BINDING_PROTOCOL_GUID)
        assert board.client.ram.u64(binding + 40) == handle
        ours.append(f"{board.client.ram.u32(binding + 24):08X}{board.driver_name(handle)}")
    rest = iter(recorded)
    assert [one for one in ours if one not in rest] == []  # in the same order, without OVMF's for other devices


def test_a_name_is_returned_in_the_language_that_the_protocol_has_and_for_what_the_driver_manages(board: Board) -> None:
    client, fat = board.client, board.driver("FAT File System Driver")
    for guid, language, other in (
        (EFI_COMPONENT_NAME_PROTOCOL_GUID, b"eng\0", b"en\0\0"),
        (EFI_COMPONENT_NAME2_PROTOCOL_GUID, b"en\0", b"eng\0"),
    ):
        this, right = board.interface(fat, guid), client.put(language)
        assert client.ram.read(client.ram.u64(this + 16), len(language)) == language
        name, wrong = client.put(bytes(8)), client.put(other)
        assert client.member(this, 0, this, 0, name) == client.member(this, 0, this, right, 0) == INVALID
        assert client.member(this, 0, this, wrong, name) == UNSUPPORTED
        assert client.member(this, 1, this, 0xFFFF, 0, right, name) == INVALID
        assert client.member(this, 1, this, board.disk, 0, right, name) == UNSUPPORTED  # no file system on it
        assert client.member(this, 1, this, board.volume, board.disk, right, name) == UNSUPPORTED  # not a child of it
        assert client.member(this, 1, this, board.volume, 0, right, name) == SUCCESS
        assert client.ram.utf16(client.ram.u64(name)) == "FAT File System"


@pytest.mark.parametrize("drivers", [("FAT File System Driver",), ("Generic Disk I/O Driver",), ()])
def test_a_disconnected_volume_has_no_file_system_until_it_is_connected_again(
    board: Board, drivers: tuple[str, ...]
) -> None:
    client, before = board.client, board.uses()
    driver = board.driver(drivers[0]) if drivers else 0
    protocols = dict(board.handles.protocols(board.volume))
    assert client.boot("DisconnectController", board.volume, driver, 0) == SUCCESS
    assert EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID not in board.handles.protocols(board.volume)
    has_disk_io = EFI_DISK_IO_PROTOCOL_GUID in board.handles.protocols(board.volume)
    assert has_disk_io == (drivers == ("FAT File System Driver",))
    assert client.boot("DisconnectController", board.volume, driver, 0) == (
        EfiStatus.EFI_NOT_FOUND if driver else SUCCESS
    )
    assert client.boot("ConnectController", board.volume, 0, 0, 0) == SUCCESS
    assert board.handles.protocols(board.volume) == protocols
    assert board.uses() == before
    assert client.boot("ConnectController", board.volume, 0, 0, 0) == EfiStatus.EFI_NOT_FOUND


def test_the_partition_of_a_disconnected_disk_is_gone_and_comes_back_on_a_handle_of_its_own(board: Board) -> None:
    client = board.client
    protocols = set(board.handles.protocols(board.partition))
    assert client.boot("DisconnectController", board.disk, 0, 0) == SUCCESS
    assert board.partition not in board.handles
    assert set(board.handles.protocols(board.disk)) == {EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_BLOCK_IO_PROTOCOL_GUID}
    assert client.boot("ConnectController", board.disk, 0, 0, 1) == SUCCESS
    (child,) = board.handles.opens.children_of(board.disk)
    assert child != board.partition
    assert set(board.handles.protocols(child)) == protocols


def test_all_that_is_below_the_root_bridge_can_be_stopped_and_started(board: Board) -> None:
    client, root = board.client, board.handle("PciRoot(0x0)")
    devices = sorted(board.named().values())
    assert client.boot("DisconnectController", root, 0, 0) == SUCCESS
    assert set(board.named().values()) & set(DEVICES.values()) == {"PciRoot(0x0)", "in", "out", "error", "partition"}
    assert client.boot("ConnectController", root, 0, 0, 1) == SUCCESS
    board.partition = next(
        handle for handle, name in board.named().items() if "/HD(1" in name and handle in board.handles
    )
    assert sorted(board.named().values()) == devices
    assert board.uses() == recorded_uses()


def test_a_file_system_that_a_program_holds_open_by_driver_keeps_its_driver(board: Board) -> None:
    client, room = board.client, board.client.room
    file_system = client.guid(EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID)
    image = board.machine.firmware_image
    assert client.boot("OpenProtocol", board.volume, file_system, room, image, board.volume, 0x10) == SUCCESS
    fat = board.driver("FAT File System Driver")
    assert client.boot("DisconnectController", board.volume, fat, 0) == EfiStatus.EFI_NOT_FOUND
    assert EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID in board.handles.protocols(board.volume)


def test_a_reinstalled_block_device_has_its_drivers_again(board: Board) -> None:
    client, before = board.client, board.uses()
    block_io = board.interface(board.volume, EFI_BLOCK_IO_PROTOCOL_GUID)
    guid = client.guid(EFI_BLOCK_IO_PROTOCOL_GUID)
    assert client.boot("ReinstallProtocolInterface", board.volume, guid, block_io, block_io) == SUCCESS
    assert board.uses() == before
    assert board.interface(board.volume, EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID)


def test_a_disk_that_is_attached_later_has_drivers_too(board: Board, tmp_path: Path) -> None:
    later = attach_volume(board.machine, 2, HostFolder(str(tmp_path), writable=False))
    board.take_over()
    assert {board.driver_name(driver) for driver in board.handles.opens.drivers_of(later)} == {
        "Generic Disk I/O Driver", "FAT File System Driver",
    }  # fmt: skip
    assert later in board.handles.opens.children_of(board.handle("PciRoot(0x0)/Pci(0x1F,0x2)"))


def test_the_firmware_volume_has_a_file_with_the_name_of_each_driver(board: Board) -> None:
    client, ram = board.client, board.client.ram
    this = client.protocol(EFI_FIRMWARE_VOLUME2_PROTOCOL_GUID)
    key, kind, name, rest = (client.put(bytes(16)) for _ in range(4))
    names = []
    while client.member(this, 5, this, key, kind, name, rest, rest + 8) == SUCCESS:
        where = client.put(bytes(24))
        assert client.member(this, 3, this, name, 0x15, 0, where, where + 8, where + 16) == SUCCESS
        names.append(ram.utf16(ram.u64(where)))
        assert ram.u64(where + 8) == 2 * len(names[-1]) + 2
    assert names[0] == "PciBusDxe"
    assert names[-1] == "Fat"
    recorded = {line[60:] for line in (RECORDED / "drivers.txt").read_text().splitlines()}
    assert set(names) <= recorded


@pytest.mark.parametrize(
    ("guid", "size"), [(EFI_SIMPLE_POINTER_PROTOCOL_GUID, 14), (EFI_ABSOLUTE_POINTER_PROTOCOL_GUID, 28)]
)
def test_the_virtual_console_has_pointers_that_never_move(board: Board, guid: Guid, size: int) -> None:
    client = board.client
    this = board.interface(board.handle("in"), guid)
    state = client.put(b"\xff" * 32)
    assert client.member(this, 0, this, 0) == SUCCESS
    assert client.member(this, 1, this, state) == EfiStatus.EFI_NOT_READY
    assert client.ram.read(state, 32) == bytes(size).ljust(32, b"\xff")
    assert client.boot("CheckEvent", client.ram.u64(this + 16)) == EfiStatus.EFI_NOT_READY


def test_a_super_io_device_says_where_its_ports_are(board: Board) -> None:
    client = board.client
    for name, resources in ((DEVICES[0xAF], "4bf80308"), (DEVICES[0xB0], "4bf80208"), (DEVICES[0xB1], "4b600005")):
        this = board.interface(board.handle(name), EFI_SIO_PROTOCOL_GUID)
        assert client.member(this, 1, this, 0) == INVALID
        assert client.member(this, 1, this, client.room) == SUCCESS
        assert client.ram.read(client.ram.u64(client.room), 6).hex() == resources + "7900"
