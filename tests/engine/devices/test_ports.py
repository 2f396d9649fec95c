"""Port I/O: which device answers, what ends the run, and ports without a device."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tdvfsh.engine.devices.cmos import CmosClock
from tdvfsh.engine.devices.ports import Ports
from tdvfsh.engine.devices.serial_port import SerialPort
from tdvfsh.engine.errors import GuestReset

COM1, EVENTS, CONTROL, TIMER = 0x3F8, 0x600, 0x604, 0x608
SLEEP_ENABLE = 1 << 13


class Machine:
    """The ports, the time and what the serial port sent."""

    def __init__(self) -> None:
        self.now = 0
        self.sent = bytearray()
        serial = SerialPort(self.sent.append, lambda level: None)
        clock = CmosClock(lambda: datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
        self.ports = Ports(serial, clock, lambda: self.now, lambda: self.now)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("port", [0x60, 0x64, 0x2F8, 0x3F7, 0x400, 0x67F, 0xCF7, 0xD00])
def test_where_nothing_is_all_bits_are_set_and_writes_are_lost(port: int, size: int) -> None:
    ports = Machine().ports
    ports.write(port, size, 0)
    assert ports.read(port, size) == (1 << 8 * size) - 1


def test_the_serial_port_is_at_its_eight_ports() -> None:
    machine = Machine()
    machine.ports.write(COM1, 1, 0x41)
    machine.ports.write(COM1 + 7, 1, 0x5A)
    assert machine.ports.read(COM1 + 7, 1) == 0x5A
    assert machine.ports.read(COM1 + 5, 1) == 0x60
    assert bytes(machine.sent) == b"A"


def test_the_clock_is_at_0x70_and_0x71() -> None:
    ports = Machine().ports
    ports.write(0x70, 1, 4)
    assert ports.read(0x71, 1) == 0x07


@pytest.mark.parametrize(
    ("ns", "count"), [(0, 0), (1_000_000_000, 3_579_545), (279, 0), (280, 1), (1200 * 10**9, 3_579_545 * 1200 % 2**32)]
)
def test_the_power_management_timer_counts_3_579_545_times_a_second_in_32_bits(ns: int, count: int) -> None:
    machine = Machine()
    machine.now = ns
    assert machine.ports.read(TIMER, 4) == count
    assert machine.ports.read(TIMER, 2) == count & 0xFFFF
    assert machine.ports.read(TIMER, 1) == count & 0xFF


def test_acpi_is_on_and_no_event_is_signalled() -> None:
    ports = Machine().ports
    assert ports.read(CONTROL, 2) & 1
    ports.write(EVENTS, 2, 0xFFFF)
    assert ports.read(EVENTS, 2) == 0


def test_enabled_events_are_kept_byte_by_byte_and_nothing_beyond_them() -> None:
    ports = Machine().ports
    ports.write(EVENTS + 2, 2, 0x1234)
    assert ports.read(EVENTS + 2, 2) == 0x1234
    assert (ports.read(EVENTS + 2, 1), ports.read(EVENTS + 3, 1)) == (0x34, 0x12)
    ports.write(EVENTS + 3, 1, 0x56)
    assert ports.read(EVENTS, 4) == 0x5634_0000
    ports.write(EVENTS, 4, 0x2143_FFFF)
    assert ports.read(EVENTS, 4) == 0x2143_0000
    ports.write(EVENTS + 2, 4, 0xAAAA_0102)
    assert ports.read(EVENTS, 4) == 0x0102_0000


def test_sleep_type_alone_does_nothing_and_with_its_enable_bit_switches_off() -> None:
    ports = Machine().ports
    ports.write(CONTROL, 2, 0)
    with pytest.raises(GuestReset) as ended:
        ports.write(CONTROL, 2, SLEEP_ENABLE)
    assert ended.value.kind == "shutdown"


def test_line_a20_is_on_and_the_fast_reset_resets() -> None:
    ports = Machine().ports
    assert ports.read(0x92, 1) == 2
    ports.write(0x92, 1, 2)
    with pytest.raises(GuestReset):
        ports.write(0x92, 1, 3)
