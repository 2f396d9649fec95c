"""The serial port, register by register, as the PC16550D datasheet has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.devices.serial_port import SerialPort

DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH = range(8)
FCR = IIR
DLAB, LOOP = 0x80, 0x10
RECEIVED, EMPTY = 1, 2  # bits of IER
NOTHING, TRANSMITTER, RECEIVER = 1, 2, 4  # of IIR


class Machine:
    """A port, what came out of it, and its interrupt line."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.lines: list[bool] = []
        self.port = SerialPort(self.sent.append, self._line)

    def _line(self, level: bool) -> None:
        if not self.lines or self.lines[-1] is not level:
            self.lines.append(level)

    def up(self) -> bool:
        return bool(self.lines) and self.lines[-1]

    def set(self, *values: tuple[int, int]) -> SerialPort:
        for register, value in values:
            self.port.write(register, 1, value)
        return self.port


def test_registers_after_reset_are_those_of_the_datasheet() -> None:
    port = Machine().port
    values = {each: port.read(each) for each in (IER, IIR, LCR, MCR, LSR)}
    assert values == {IER: 0, IIR: 1, LCR: 0, MCR: 0, LSR: 0x60}
    assert port.read(MSR) == 0xB0  # carrier, data set ready, clear to send: the other side listens


def test_what_is_sent_comes_out_and_the_transmitter_is_free_at_once() -> None:
    machine = Machine()
    for byte in b"Linux version":
        machine.port.write(DATA, 1, byte)
        assert machine.port.read(LSR) == 0x60
    assert bytes(machine.sent) == b"Linux version"


def test_the_divisor_stands_behind_the_access_bit() -> None:
    machine = Machine()
    port = machine.set((IER, 5), (LCR, DLAB | 3), (DATA, 0x34), (IER, 0x12))
    assert (port.read(DATA), port.read(IER)) == (0x34, 0x12)
    port.write(LCR, 1, 3)
    assert (port.read(DATA), port.read(IER), port.read(LCR)) == (0, 5, 3)
    assert not machine.sent
    port.write(LCR, 1, DLAB)
    assert (port.read(DATA), port.read(IER)) == (0x34, 0x12)


@given(st.lists(st.tuples(st.sampled_from([IER, LCR, MCR, LSR, MSR, SCRATCH]), st.integers(0, 255)), max_size=12))
def test_control_registers_keep_the_bits_that_they_have(writes: list[tuple[int, int]]) -> None:
    port = Machine().port
    kept = dict.fromkeys((IER, LCR, MCR, SCRATCH), 0)
    masks = {IER: 0x0F, LCR: 0xFF, MCR: 0x1F, SCRATCH: 0xFF}
    for register, value in writes:
        if register in masks and not (register == IER and kept[LCR] & DLAB):
            kept[register] = value & masks[register]
        port.write(register, 1, value)
    port.write(LCR, 1, kept[LCR] & ~DLAB)
    assert {register: port.read(register) for register in (IER, MCR, SCRATCH)} == {
        register: kept[register] for register in (IER, MCR, SCRATCH)
    }


def test_received_bytes_are_read_in_order_and_announced() -> None:
    machine = Machine()
    machine.set((IER, RECEIVED)).receive(b"ls\r")
    assert machine.up()
    read = []
    while machine.port.read(LSR) & 1:
        assert machine.port.read(IIR) & 0xF == RECEIVER
        read.append(machine.port.read(DATA))
    assert bytes(read) == b"ls\r"
    assert machine.port.read(IIR) == NOTHING
    assert not machine.up()


def test_received_data_comes_before_the_empty_transmitter() -> None:
    machine = Machine()
    machine.set((IER, RECEIVED | EMPTY)).receive(b"x")
    assert machine.port.read(IIR) == RECEIVER
    machine.port.read(DATA)
    assert machine.port.read(IIR) == TRANSMITTER
    assert machine.port.read(IIR) == NOTHING


def test_allowing_the_transmitter_s_interrupt_raises_it_and_reading_its_name_ends_it() -> None:
    machine = Machine()
    machine.set((IER, EMPTY))
    assert machine.up()
    assert machine.port.read(IIR) == TRANSMITTER
    assert not machine.up()
    assert machine.port.read(IIR) == NOTHING
    machine.port.write(IER, 1, EMPTY)  # it was allowed before
    assert not machine.up()


def test_every_byte_that_is_sent_is_a_new_edge() -> None:
    machine = Machine()
    machine.set((IER, EMPTY))
    for byte in b"abc":
        machine.port.write(DATA, 1, byte)
    assert machine.lines == [True, *[False, True] * 3]


def test_an_interrupt_that_is_not_allowed_is_not_raised() -> None:
    machine = Machine()
    machine.port.write(DATA, 1, 0x41)
    machine.port.receive(b"x")
    assert not machine.up()
    assert machine.port.read(IIR) == NOTHING
    machine.port.write(IER, 1, RECEIVED)
    assert machine.up()


@pytest.mark.parametrize(
    ("control", "status"), [(0, 0), (1, 0x20), (2, 0x10), (4, 0x40), (8, 0x80), (0xA, 0x90), (0xF, 0xF0)]
)
def test_in_loopback_modem_outputs_are_its_inputs(control: int, status: int) -> None:
    port = Machine().set((MCR, LOOP | control))
    assert port.read(MSR) & 0xF0 == status


def test_in_loopback_what_is_sent_is_received_and_nothing_leaves() -> None:
    machine = Machine()
    port = machine.set((MCR, LOOP), (DATA, 0x5A))
    assert port.read(LSR) & 1
    assert port.read(DATA) == 0x5A
    assert not machine.sent


def test_fifos_are_named_while_they_are_on() -> None:
    port = Machine().set((FCR, 1))
    assert port.read(IIR) == 0xC1
    port.write(FCR, 1, 0)
    assert port.read(IIR) == 1


@pytest.mark.parametrize(
    ("before", "control", "left"),
    [(1, 3, 0), (1, 1, 1), (1, 5, 1), (0, 1, 0), (1, 0, 0), (0, 2, 1), (0, 0, 1)],
)
def test_the_receiver_s_fifo_is_emptied_on_request_and_by_switching(before: int, control: int, left: int) -> None:
    machine = Machine()
    machine.set((FCR, before), (IER, RECEIVED)).receive(b"abc")
    machine.port.write(FCR, 1, control)
    assert machine.port.read(LSR) & 1 == left
    assert machine.up() is bool(left)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_whatever_order_things_happen_in_no_byte_is_lost_or_made_up(sent: bytes, received: bytes) -> None:
    machine = Machine()
    machine.set((FCR, 1), (IER, RECEIVED | EMPTY))
    read = bytearray()
    for number in range(40):
        machine.port.receive(received[number : number + 1])
        if number < len(sent):
            machine.port.write(DATA, 1, sent[number])
        if number % 3 == 0:
            while machine.port.read(LSR) & 1:
                read.append(machine.port.read(DATA))
        assert machine.up() or not machine.port.read(LSR) & 1
    while machine.port.read(LSR) & 1:
        read.append(machine.port.read(DATA))
    assert (bytes(machine.sent), bytes(read)) == (sent, received)


@pytest.mark.parametrize(("fifo", "room"), [(0, 1), (1, 16)])
def test_a_loop_without_a_reader_loses_what_the_receiver_has_no_room_for(fifo: int, room: int) -> None:
    port = Machine().set((FCR, fifo), (MCR, LOOP))
    for byte in range(100):
        port.write(DATA, 1, byte)
    assert (port.read(LSR), port.read(LSR)) == (0x63, 0x61)  # the overrun is told once
    assert [port.read(DATA) for _ in range(room)] == list(range(room))
    assert port.read(LSR) == 0x60


def test_the_other_end_waits_while_nothing_is_read() -> None:
    port = Machine().port
    full = []
    for data in (bytes(4095), b"xy"):
        port.receive(data)
        full.append(port.full)
    assert full == [False, True]
    assert (port.read(DATA), port.read(DATA), port.full) == (0, 0, False)
