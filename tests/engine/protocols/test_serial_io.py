"""EFI_SERIAL_IO_PROTOCOL over COM1, called as a program would."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.engine.protocols.serial_io import divisor_of
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_SERIAL_IO_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.client import Client

RESET, SET_ATTRIBUTES, SET_CONTROL, GET_CONTROL, WRITE, READ, MODE = range(1, 8)
INVALID = EfiStatus.EFI_INVALID_PARAMETER
INPUT_EMPTY, OUTPUT_EMPTY = 0x100, 0x200
HARDWARE_LOOP, SOFTWARE_LOOP, FLOW_CONTROL = 0x1000, 0x2000, 0x4000
LINE, MODEM = 3, 4


class Serial:
    """The protocol."""

    def __init__(self, client: Client) -> None:
        self.client, self.ram = client, client.ram
        self.address = client.protocol(EFI_SERIAL_IO_PROTOCOL_GUID)
        self.port = client.firmware.board.devices.serial
        self.sent: list[int] = []
        client.firmware.board.console = self.sent.append
        self.size = client.put(bytes(8))

    def call(self, function: int, *arguments: int) -> int:
        return self.client.member(self.address, function, self.address, *arguments)

    @property
    def mode(self) -> tuple[int, ...]:
        return struct.unpack("<IIQIIII", self.ram.read(self.ram.u64(self.address + 8 * MODE), 32))

    @property
    def control(self) -> int:
        assert self.call(GET_CONTROL, self.size) == SUCCESS
        return self.ram.u32(self.size)

    def write(self, data: bytes) -> int:
        self.ram.put_u64(self.size, len(data))
        status = self.call(WRITE, self.size, self.client.put(data))
        assert self.ram.u64(self.size) == len(data)
        return status

    def read(self, size: int) -> tuple[int, bytes]:
        self.ram.put_u64(self.size, size)
        status = self.call(READ, self.size, self.client.room)
        return status, self.ram.read(self.client.room, self.ram.u64(self.size))

    def path(self) -> bytes:
        """The end of the device path on the protocol's handle."""
        count = self.client.put(bytes(16))
        guid = self.client.guid(EFI_SERIAL_IO_PROTOCOL_GUID)
        assert self.client.boot("LocateHandleBuffer", 2, guid, 0, count, count + 8) == SUCCESS
        handle = self.ram.u64(self.ram.u64(count + 8))
        path = self.client.guid(EFI_DEVICE_PATH_PROTOCOL_GUID)
        assert self.client.boot("HandleProtocol", handle, path, count) == SUCCESS
        return self.ram.read(self.ram.u64(count), 53)


@pytest.fixture
def serial(client: Client) -> Serial:
    return Serial(client)


def test_the_port_is_set_and_says_so_in_mode_and_device_path(serial: Serial) -> None:
    assert serial.mode == (0x73F3, 1_000_000, 115_200, 16, 8, 1, 1)
    assert serial.port.read(LINE) == 3
    assert serial.path()[30:] == bytes.fromhex("030e1300 00000000 00c2010000000000 080101 7fff0400")


def test_what_is_written_leaves_the_port_and_what_arrives_is_read(serial: Serial) -> None:
    assert serial.write(b"hello") == SUCCESS
    assert bytes(serial.sent) == b"hello"
    assert serial.control == 0xB0 | INPUT_EMPTY | OUTPUT_EMPTY
    serial.port.receive(b"typed")
    assert not serial.control & INPUT_EMPTY
    assert serial.read(3) == (SUCCESS, b"typ")
    assert serial.read(3) == (EfiStatus.EFI_TIMEOUT, b"ed")
    assert serial.read(0) == (SUCCESS, b"")


def test_a_read_of_nothing_takes_the_timeout_that_was_set(serial: Serial) -> None:
    assert serial.call(SET_ATTRIBUTES, 0, 0, 20_000, 0, 0, 0) == SUCCESS
    before = serial.client.firmware.clock.now_ns
    assert serial.read(1) == (EfiStatus.EFI_TIMEOUT, b"")
    assert 20_000_000 <= serial.client.firmware.clock.now_ns - before < 21_000_000


def test_no_buffer_is_a_device_error(serial: Serial) -> None:
    for function in (WRITE, READ):
        serial.ram.put_u64(serial.size, 1)
        assert serial.call(function, serial.size, 0) == EfiStatus.EFI_DEVICE_ERROR
        serial.ram.put_u64(serial.size, 0)
        assert serial.call(function, serial.size, 0) == SUCCESS


def test_attributes_reach_registers_mode_and_device_path(serial: Serial) -> None:
    assert serial.call(SET_ATTRIBUTES, 9600, 1, 5, 2, 7, 3) == SUCCESS
    assert serial.mode[1:] == (5, 9600, 1, 7, 2, 3)
    assert serial.port.read(LINE) == 0x1E  # 7 bits, 2 stop bits, even parity
    serial.port.write(LINE, 1, 0x9E)
    assert serial.port.read(0) | serial.port.read(1) << 8 == 12
    assert struct.unpack("<QBBB", serial.path()[38:49]) == (9600, 7, 2, 3)
    assert serial.call(RESET) == SUCCESS
    assert serial.mode[1:] == (5, 9600, 1, 7, 2, 3)
    assert serial.port.read(LINE) == 0x1E
    assert serial.call(SET_ATTRIBUTES, 0, 0, 0, 0, 0, 0) == SUCCESS
    assert serial.mode[1:] == (1_000_000, 115_200, 16, 8, 1, 1)


@pytest.mark.parametrize(
    "attributes",
    [
        (1, 0, 0, 0, 0, 0),
        (0, 17, 0, 0, 0, 0),
        (0, 0, 100_000_001, 0, 0, 0),
        (0, 0, 0, 6, 0, 0),
        (0, 0, 0, 0, 4, 0),
        (0, 0, 0, 0, 9, 0),
        (0, 0, 0, 0, 0, 4),
        (0, 0, 0, 0, 5, 3),
        (0, 0, 0, 0, 8, 2),
    ],
)
def test_attributes_that_no_port_has_are_invalid(serial: Serial, attributes: tuple[int, ...]) -> None:
    before = serial.mode
    assert serial.call(SET_ATTRIBUTES, *attributes) == INVALID
    assert serial.mode == before


@pytest.mark.parametrize(
    ("rate", "divisor"),
    [
        (115_200, (1, 115_200)),
        (9600, (12, 9600)),
        (114_000, (1, 114_000)),
        (108_000, (2, 57_600)),
        (230_400, (1, 115_200)),
        (100_000, (2, 57_600)),
        (2, (57_600, 2)),
        (1, None),
    ],
)
def test_a_rate_is_kept_within_four_percent_and_lowered_beyond(rate: int, divisor: tuple[int, int] | None) -> None:
    assert divisor_of(rate) == divisor


def test_control_bits_are_set_and_others_refused(serial: Serial) -> None:
    assert serial.call(SET_CONTROL, 3 | FLOW_CONTROL) == SUCCESS
    assert serial.control == 0xB3 | FLOW_CONTROL | INPUT_EMPTY | OUTPUT_EMPTY
    assert serial.port.read(MODEM) == 3
    for bit in (0x10, INPUT_EMPTY, 0x8000):
        assert serial.call(SET_CONTROL, bit) == EfiStatus.EFI_UNSUPPORTED
    assert serial.call(SET_CONTROL, 0) == SUCCESS
    assert serial.port.read(MODEM) == 0


@pytest.mark.parametrize("loop", [HARDWARE_LOOP, SOFTWARE_LOOP])
def test_a_loop_returns_what_is_written(serial: Serial, loop: int) -> None:
    assert serial.call(SET_CONTROL, loop) == SUCCESS
    assert serial.write(b"round and round") == SUCCESS
    assert serial.control & loop
    assert serial.read(15) == (SUCCESS, b"round and round")
    assert serial.sent == []


def test_meanwhile_the_software_loop_leaves_at_the_port_what_arrives(serial: Serial) -> None:
    assert serial.call(SET_CONTROL, SOFTWARE_LOOP) == SUCCESS
    serial.port.receive(b"later")
    assert serial.control & INPUT_EMPTY
    assert serial.call(SET_CONTROL, 0) == SUCCESS
    assert serial.read(5) == (SUCCESS, b"later")


def test_a_reset_empties_the_queue_and_ends_the_hardware_loop(serial: Serial) -> None:
    assert serial.call(SET_CONTROL, HARDWARE_LOOP) == SUCCESS
    assert serial.write(b"lost") == SUCCESS
    assert serial.call(RESET) == SUCCESS
    assert serial.control == 0xB0 | INPUT_EMPTY | OUTPUT_EMPTY
    assert serial.write(b"sent") == SUCCESS
    assert bytes(serial.sent) == b"sent"
