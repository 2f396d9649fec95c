"""EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL of bus 0, called as a program would."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tdvfsh.machine import TdOptions
from tdvfsh.uefi.guids import EFI_PCI_IO_PROTOCOL_GUID, EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB
from tests.engine.client import Client
from tests.engine.programs import guest

(
    POLL_MEM, POLL_IO, MEM_READ, MEM_WRITE, IO_READ, IO_WRITE, PCI_READ, PCI_WRITE, COPY_MEM, MAP, UNMAP,
    ALLOCATE_BUFFER, FREE_BUFFER, FLUSH, GET_ATTRIBUTES, SET_ATTRIBUTES, CONFIGURATION,
) = range(1, 18)  # fmt: skip
BYTE, WORD, DWORD, QWORD = range(4)
FIFO, FILL = 4, 8
SCRATCH = 0x3FF  # COM1's register that keeps what is written
WINDOW, IO_APIC = 2 * GIB, 0xFEC00000
AHCI = 0x1F << 16 | 2 << 8
SUPPORTED = 0x70069
INVALID, UNSUPPORTED = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_UNSUPPORTED
NO_MAPPING = (1 << 64) - 1
PCI_IO_MAP, PCI_IO_UNMAP = 9, 10


class Bridge:
    """The protocol."""

    def __init__(self, client: Client) -> None:
        self.client, self.ram, self.room = client, client.ram, client.room
        self.address = client.protocol(EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID)

    def call(self, function: int, *arguments: int) -> int:
        return self.client.member(self.address, function, self.address, *arguments)

    def read(self, function: int, width: int, address: int, count: int = 1) -> bytes:
        assert self.call(function, width, address, count, self.room) == SUCCESS
        return self.ram.read(self.room, count << (width & 3))

    def write(self, function: int, width: int, address: int, data: bytes) -> None:
        count = len(data) >> (width & 3)
        assert self.call(function, width, address, count, self.client.put(data)) == SUCCESS


class Register:
    """64 bytes of registers that keep what is written."""

    def __init__(self) -> None:
        self.data = bytearray(64)

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self.data[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self.data[offset : offset + size] = value.to_bytes(size, "little")


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    with guest(TdOptions(memory=6 * GIB, td=False)) as (firmware, output):
        yield Bridge(Client(firmware, output))


def test_configuration_space_is_read_and_written_by_the_address_of_a_register(bridge: Bridge) -> None:
    assert bridge.read(PCI_READ, WORD, 0x1F << 16, 2) == struct.pack("<HH", 0x8086, 0x2918)
    assert bridge.read(PCI_READ, DWORD, AHCI) == struct.pack("<HH", 0x8086, 0x2922)
    assert bridge.read(PCI_READ, BYTE, 0x05 << 16) == b"\xff"
    bridge.write(PCI_WRITE, BYTE, AHCI | 0x3C, b"\x0b")
    assert bridge.read(PCI_READ, BYTE, AHCI | 0x3C << 32) == b"\x0b"


def test_registers_that_follow_one_another_do_not_run_into_the_next_function(bridge: Bridge) -> None:
    assert bridge.read(PCI_READ, BYTE, 0x1F << 16 | 2 << 8 | 0xFE, 6) == bytes(6)
    assert bridge.call(PCI_READ, DWORD, AHCI | 0xFFC << 32, 2, bridge.room) == INVALID
    assert bridge.call(PCI_READ, DWORD, 32 << 16, 1, bridge.room) == INVALID
    assert bridge.call(PCI_READ, DWORD, 1 << 24, 1, bridge.room) == INVALID


def test_ports_are_read_and_written_as_the_width_says(bridge: Bridge) -> None:
    bridge.write(IO_WRITE, FIFO | BYTE, SCRATCH, b"abc")
    assert bridge.read(IO_READ, BYTE, SCRATCH) == b"c"
    bridge.ram.write(bridge.room, b"xyz")
    assert bridge.call(IO_READ, FILL | BYTE, SCRATCH - 2, 3, bridge.room) == SUCCESS
    assert bridge.ram.read(bridge.room, 3) == b"cyz"
    assert bridge.read(IO_READ, FIFO | BYTE, SCRATCH, 3) == b"ccc"


@pytest.mark.parametrize(
    ("address", "width", "status"),
    [
        (0xFFF, BYTE, SUCCESS), (0x1000, BYTE, INVALID), (0x6000, BYTE, SUCCESS), (0xFFFC, DWORD, SUCCESS),
        (0xFFFF, WORD, UNSUPPORTED), (0x10000, BYTE, INVALID), (0x3F8, QWORD, INVALID), (0x3F8, 12, INVALID),
    ],
)  # fmt: skip
def test_only_the_bridge_s_ports_and_those_of_isa_answer(
    bridge: Bridge, address: int, width: int, status: EfiStatus
) -> None:
    assert bridge.call(IO_READ, width, address, 1, bridge.room) == status


def test_the_ports_of_isa_go_with_their_attributes(bridge: Bridge) -> None:
    assert bridge.call(SET_ATTRIBUTES, 1, 0, 0) == SUCCESS
    assert bridge.call(IO_READ, BYTE, SCRATCH, 1, bridge.room) == INVALID
    assert bridge.call(SET_ATTRIBUTES, 2, 0, 0) == UNSUPPORTED
    assert bridge.call(GET_ATTRIBUTES, 0, 0) == INVALID
    assert bridge.call(GET_ATTRIBUTES, bridge.room, bridge.room + 8) == SUCCESS
    assert struct.unpack("<QQ", bridge.ram.read(bridge.room, 16)) == (SUPPORTED, 1)


def test_registers_in_memory_are_read_written_and_copied_where_they_overlap(bridge: Bridge) -> None:
    bridge.client.firmware.board.devices.memory.attach(WINDOW, 64, "test", device := Register())
    bridge.write(MEM_WRITE, WORD, WINDOW, b"abcdefgh")
    assert bridge.read(MEM_READ, QWORD, WINDOW) == b"abcdefgh"
    assert bridge.call(COPY_MEM, BYTE, WINDOW + 2, WINDOW, 8) == SUCCESS
    assert device.data[:10] == b"ababcdefgh"
    assert bridge.call(COPY_MEM, WORD, WINDOW, WINDOW + 2, 4) == SUCCESS
    assert device.data[:10] == b"abcdefghgh"


@pytest.mark.parametrize(
    ("address", "count", "status"),
    [
        (WINDOW - 4, 1, INVALID), (IO_APIC - 4, 1, SUCCESS), (IO_APIC - 4, 2, INVALID), (0xA0000, 1, SUCCESS),
        (0xC0000, 1, INVALID), (WINDOW + 2, 1, UNSUPPORTED), (WINDOW, 1 << 62, INVALID), ((1 << 64) - 4, 1, INVALID),
    ],
)  # fmt: skip
def test_memory_outside_of_the_windows_is_an_invalid_parameter(
    bridge: Bridge, address: int, count: int, status: EfiStatus
) -> None:
    assert bridge.call(MEM_READ, DWORD, address, count, bridge.room) == status


def test_a_poll_ends_when_the_bits_are_there_and_when_its_time_is_over(bridge: Bridge) -> None:
    bridge.write(IO_WRITE, BYTE, SCRATCH, b"\x5a")
    bridge.ram.put_u64(bridge.room, 0)
    assert bridge.call(POLL_IO, BYTE, SCRATCH, 0xF0, 0x50, 1000, bridge.room) == SUCCESS
    assert bridge.ram.u64(bridge.room) == 0x5A
    before = bridge.client.firmware.clock.now_ns
    assert bridge.call(POLL_IO, BYTE, SCRATCH, 0xF0, 0x40, 20_000, bridge.room) == EfiStatus.EFI_TIMEOUT
    assert 2_000_000 <= bridge.client.firmware.clock.now_ns - before < 2_100_000
    assert bridge.call(POLL_MEM, DWORD, WINDOW, 1, 0, 0, bridge.room) == SUCCESS
    assert bridge.call(POLL_IO, FIFO, SCRATCH, 0xF0, 0x50, 1000, bridge.room) == INVALID


def mapped(bridge: Bridge, operation: int, host: int, size: int) -> tuple[int, int, int]:
    """Status of Map, device address, mapping."""
    bridge.ram.put_u64(bridge.room, size)
    status = bridge.call(MAP, operation, host, bridge.room, bridge.room + 8, bridge.room + 16)
    return status, bridge.ram.u64(bridge.room + 8), bridge.ram.u64(bridge.room + 16)


def test_a_buffer_below_4_gib_is_reached_where_it_is(bridge: Bridge) -> None:
    host = bridge.client.put(bytes(16))
    for operation in range(6):
        assert mapped(bridge, operation, host, 16) == (SUCCESS, host, NO_MAPPING)
    assert bridge.call(UNMAP, NO_MAPPING) == SUCCESS
    assert mapped(bridge, 6, host, 16)[0] == INVALID


def test_a_buffer_above_4_gib_is_copied_there_and_back_as_the_operation_says(bridge: Bridge) -> None:
    host = 5 * GIB
    bridge.ram.write(host, b"to the device")
    status, device, mapping = mapped(bridge, 0, host, 13)
    assert status == SUCCESS
    assert device < 4 * GIB
    assert bridge.ram.read(device, 13) == b"to the device"
    bridge.ram.write(device, b"back")
    assert bridge.call(UNMAP, mapping) == SUCCESS
    assert bridge.ram.read(host, 4) == b"to t"
    status, device, mapping = mapped(bridge, 1, host, 13)
    bridge.ram.write(device, b"back")
    assert bridge.call(UNMAP, mapping) == SUCCESS
    assert bridge.ram.read(host, 4) == b"back"
    assert bridge.call(UNMAP, mapping) == INVALID
    assert mapped(bridge, 2, host, 13)[0] == UNSUPPORTED
    assert mapped(bridge, 3, host, 13) == (SUCCESS, host, NO_MAPPING)


def test_common_buffers_lie_below_4_gib_unless_the_device_takes_two_cycles(bridge: Bridge) -> None:
    boot_data, loader_data = 4, 2
    assert bridge.call(ALLOCATE_BUFFER, 0, boot_data, 2, bridge.room, 0) == SUCCESS
    low = bridge.ram.u64(bridge.room)
    assert low < 4 * GIB
    assert bridge.call(FREE_BUFFER, 2, low) == SUCCESS
    assert bridge.call(ALLOCATE_BUFFER, 0, boot_data, 0x80000, bridge.room, 0x8000) == SUCCESS
    assert bridge.ram.u64(bridge.room) >= 4 * GIB
    assert bridge.call(ALLOCATE_BUFFER, 0, loader_data, 2, bridge.room, 0) == INVALID
    assert bridge.call(ALLOCATE_BUFFER, 0, boot_data, 2, 0, 0) == INVALID
    assert bridge.call(ALLOCATE_BUFFER, 0, boot_data, 2, bridge.room, 1) == UNSUPPORTED
    assert bridge.call(FLUSH) == SUCCESS


def test_the_configuration_has_bus_ports_and_memory_and_ends(bridge: Bridge) -> None:
    assert bridge.call(CONFIGURATION, bridge.room) == SUCCESS
    data = bridge.ram.read(bridge.ram.u64(bridge.room), 3 * 46 + 2)
    found = [struct.unpack("<BHBBBQQQQQ", data[at : at + 46]) for at in (0, 46, 92)]
    assert [(one[2], one[6], one[7], one[9]) for one in found] == [
        (2, 0, 0, 1), (1, 0x6000, 0xFFFF, 0xA000), (0, WINDOW, IO_APIC - 1, IO_APIC - WINDOW),
    ]  # fmt: skip
    assert data[-2:] == b"\x79\0"


def test_in_a_td_a_device_reaches_a_copy_and_a_pci_function_the_same(client: Client) -> None:
    bridge, host = Bridge(client), client.put(b"to the device")
    pci = client.protocol(EFI_PCI_IO_PROTOCOL_GUID)
    for map_function, unmap, protocol in ((MAP, UNMAP, bridge.address), (PCI_IO_MAP, PCI_IO_UNMAP, pci)):
        bridge.ram.put_u64(bridge.room, 13)
        arguments = (protocol, 0, host, bridge.room, bridge.room + 8, bridge.room + 16)
        assert client.member(protocol, map_function, *arguments) == SUCCESS
        device, mapping = bridge.ram.u64(bridge.room + 8), bridge.ram.u64(bridge.room + 16)
        assert device != host
        assert bridge.ram.read(device, 13) == b"to the device"
        assert client.member(protocol, unmap, protocol, mapping) == SUCCESS
        assert client.member(protocol, unmap, protocol, mapping) == INVALID
    assert bridge.call(ALLOCATE_BUFFER, 0, 4, 2, bridge.room, 0) == SUCCESS
    assert bridge.call(FREE_BUFFER, 2, bridge.ram.u64(bridge.room)) == SUCCESS
