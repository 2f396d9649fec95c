"""EFI_ATA_PASS_THRU_PROTOCOL and its neighbours on the SATA controller, called as a program would."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tdvfsh.engine.storage.disks import attach_disk
from tdvfsh.uefi.device_path import Sata
from tdvfsh.uefi.guids import (
    EFI_ATA_PASS_THRU_PROTOCOL_GUID,
    EFI_EXT_SCSI_PASS_THRU_PROTOCOL_GUID,
    EFI_IDE_CONTROLLER_INIT_PROTOCOL_GUID,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.client import Client
from tests.engine.programs import guest

PASS_THRU, NEXT_PORT, NEXT_DEVICE, BUILD_PATH, GET_DEVICE, RESET_PORT, RESET_DEVICE = range(1, 8)
INVALID, NOT_FOUND = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_NOT_FOUND
DEVICE_ERROR = EfiStatus.EFI_DEVICE_ERROR
NONE = 0xFFFF
IDENTIFY, READ, READ_EXTENDED, WRITE, FLUSH, UNKNOWN = 0xEC, 0xC8, 0x25, 0xCA, 0xE7, 0x99


class Memory:
    """A disk of 300 sectors, the number of each in its bytes."""

    writable = True
    disk_size = 300 * 512

    def __init__(self) -> None:
        self.data = bytearray(b"".join(bytes([number % 251]) * 512 for number in range(300)))

    def read_disk(self, offset: int, size: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def write_disk(self, offset: int, data: bytes) -> None:
        self.data[offset : offset + len(data)] = data


class Ports:
    """The protocol, with disks at the ports 1 and 4."""

    def __init__(self, client: Client) -> None:
        self.client, self.ram = client, client.ram
        self.disk, self.other = Memory(), Memory()
        self.other.writable = False
        attach_disk(client.firmware.machine, 1, self.disk)
        attach_disk(client.firmware.machine, 4, self.other)
        client.firmware._drivers.take_over_disks()
        self.address = client.protocol(EFI_ATA_PASS_THRU_PROTOCOL_GUID)
        self.cell, self.buffer, self.asb = client.put(bytes(16)), client.put(bytes(1024)), client.put(bytes(64))

    def call(self, function: int, *arguments: int) -> int:
        return self.client.member(self.address, function, self.address, *arguments)

    def enumerate(self, function: int, *port: int) -> tuple[int, int]:
        """Status and number of GetNextPort and GetNextDevice."""
        status = self.call(function, *port, self.cell)
        return status, self.ram.u16(self.cell)

    def command(self, code: int, block: int = 0, sectors: int = 1, port: int = 1, event: int = 0) -> int:
        """A command; its data are in the buffer."""
        low, high = block & 0xFFFFFF, block >> 24
        acb = struct.pack("<2xBB3sB3s", code, 0, low.to_bytes(3, "little"), 0, high.to_bytes(3, "little"))
        read = code != WRITE
        sizes = (sectors, 0) if read else (0, sectors)
        buffers = (self.buffer, 0) if read else (0, self.buffer)
        where = self.client.put(acb.ljust(64, b"\0"))
        packet = struct.pack("<QQQQQIIBB", self.asb, where, 0, *buffers, *sizes, 0, 0x10)
        return self.call(PASS_THRU, port, NONE, self.client.put(packet), event)


@pytest.fixture
def ports() -> Iterator[Ports]:
    with guest() as (firmware, output):
        yield Ports(Client(firmware, output))


def test_ports_and_devices_are_enumerated_and_have_nodes_of_device_paths(ports: Ports) -> None:
    ports.ram.put_u64(ports.cell, NONE)
    found = [ports.enumerate(NEXT_PORT) for _ in range(3)]
    assert found == [(SUCCESS, 1), (SUCCESS, 4), (NOT_FOUND, 4)]
    ports.ram.put_u64(ports.cell, 3)
    assert ports.enumerate(NEXT_PORT)[0] == ports.call(NEXT_PORT, 0) == INVALID
    ports.ram.put_u64(ports.cell, NONE)
    assert [ports.enumerate(NEXT_DEVICE, 1)[0] for _ in range(2)] == [SUCCESS, NOT_FOUND]
    assert ports.enumerate(NEXT_DEVICE, 2)[0] == NOT_FOUND
    assert ports.call(BUILD_PATH, 4, NONE, ports.cell) == SUCCESS
    node = ports.ram.u64(ports.cell)
    assert ports.ram.read(node, 10) == Sata(4).pack()
    assert ports.call(GET_DEVICE, node, ports.cell, ports.cell + 8) == SUCCESS
    assert (ports.ram.u16(ports.cell), ports.ram.u16(ports.cell + 8)) == (4, NONE)
    assert ports.call(BUILD_PATH, 3, NONE, ports.cell) == ports.call(BUILD_PATH, 4, 0, ports.cell) == NOT_FOUND
    assert ports.call(RESET_DEVICE, 4, NONE) == ports.call(RESET_PORT, 4) == SUCCESS
    assert ports.call(RESET_DEVICE, 3, NONE) == INVALID


def test_a_disk_says_what_it_is_and_how_large(ports: Ports) -> None:
    assert ports.command(IDENTIFY) == SUCCESS
    words = struct.unpack("<256H", ports.ram.read(ports.buffer, 512))
    model = b"".join(struct.pack(">H", word) for word in words[27:47])
    assert model == b"QEMU HARDDISK".ljust(40)
    assert words[83] & 0xC400 == 0x4400  # 48-bit addresses
    assert words[60] | words[61] << 16 == words[100] | words[101] << 16 == 300


def test_sectors_are_read_and_written(ports: Ports) -> None:
    for code in (READ, READ_EXTENDED):
        assert ports.command(code, 250, 2) == SUCCESS
        assert ports.ram.read(ports.buffer, 1024) == bytes([250]) * 512 + bytes(512)
    ports.ram.write(ports.buffer, b"new".ljust(512, b"\0"))
    assert ports.command(WRITE, 299) == SUCCESS
    assert ports.disk.data[-512:].rstrip(b"\0") == b"new"
    event = ports.client.firmware.core.events.create_event()
    assert ports.command(FLUSH, sectors=0, event=event) == SUCCESS
    assert ports.client.boot("CheckEvent", event) == SUCCESS


def test_what_a_disk_cannot_do_is_an_error_with_its_status(ports: Ports) -> None:
    ports.ram.write(ports.buffer, bytes(512))
    assert ports.command(UNKNOWN) == ports.command(READ, 300) == ports.command(WRITE, port=4) == DEVICE_ERROR
    assert ports.ram.read(ports.asb + 2, 2) == bytes((0x51, 0x04))
    assert ports.command(IDENTIFY, port=2) == INVALID
    assert ports.command(READ, 0, 257) == EfiStatus.EFI_BAD_BUFFER_SIZE
    ports.buffer += 4
    assert ports.command(READ) == INVALID


def test_no_port_has_a_target_for_scsi_and_each_is_a_channel(ports: Ports) -> None:
    client = ports.client
    scsi = client.protocol(EFI_EXT_SCSI_PASS_THRU_PROTOCOL_GUID)
    target = client.put(struct.pack("<Q", client.put(b"\xff" * 16)))
    assert client.member(scsi, 2, scsi, target, ports.cell) == client.member(scsi, 7, scsi, target) == NOT_FOUND
    assert client.member(scsi, 1, scsi, 0, 0, 0, 0) == client.member(scsi, 7, scsi, 0) == INVALID
    ide = client.protocol(EFI_IDE_CONTROLLER_INIT_PROTOCOL_GUID)
    assert client.member(ide, 0, ide, 5, ports.cell, ports.cell + 1) == SUCCESS
    assert ports.ram.read(ports.cell, 2) == b"\1\1"
    assert client.member(ide, 0, ide, 6, ports.cell, ports.cell + 1) == INVALID
    assert client.member(ide, 4, ide, 0, 0, ports.cell) == EfiStatus.EFI_NOT_READY
