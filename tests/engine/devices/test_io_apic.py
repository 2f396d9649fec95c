"""The I/O APIC's registers and redirection, as the 82093AA datasheet has them."""

from __future__ import annotations

import pytest

from tdvfsh.engine.devices.interrupt_bus import InterruptBus
from tdvfsh.engine.devices.io_apic import IoApic
from tdvfsh.engine.devices.local_apic import LocalApic

SELECT, WINDOW, END = 0x00, 0x10, 0x40
MASKED, LEVEL, REMOTE_IRR = 1 << 16, 1 << 15, 1 << 14
LOGICAL, LOWEST_PRIORITY = 1 << 11, 1 << 8
VECTOR = 0x31
LINE = 4


class Taker(LocalApic):
    """A local APIC that notes what it is asked."""

    def __init__(self, number: int, bus: InterruptBus) -> None:
        super().__init__(number, lambda: 0, 2, bus)
        self.requests: list[tuple[int, bool]] = []

    def request(self, vector: int, level: bool = False) -> None:
        self.requests.append((vector, level))


class Machine:
    """An I/O APIC and what it asked of each of two processors."""

    def __init__(self) -> None:
        bus = InterruptBus()
        self.first, self.second = Taker(0, bus), Taker(1, bus)
        self.requests = self.first.requests
        self.io_apic = IoApic(bus)

    def read(self, register: int) -> int:
        self.io_apic.write(SELECT, 4, register)
        return self.io_apic.read(WINDOW)

    def write(self, register: int, value: int) -> None:
        self.io_apic.write(SELECT, 4, register)
        self.io_apic.write(WINDOW, 4, value)

    def entry(self, number: int = LINE) -> int:
        return self.read(0x10 + 2 * number) | self.read(0x11 + 2 * number) << 32

    def route(self, low: int, number: int = LINE, destination: int = 0) -> None:
        self.write(0x11 + 2 * number, destination << 24)
        self.write(0x10 + 2 * number, low)


def test_after_reset_all_24_inputs_are_masked() -> None:
    machine = Machine()
    assert machine.read(1) == 0x0017_0020  # 24 entries, the version that QEMU shows
    assert machine.read(0) == 0
    assert [machine.entry(number) for number in range(24)] == [MASKED] * 24
    assert machine.read(0x10 + 48) == 0


def test_the_select_register_reads_back_its_low_byte() -> None:
    machine = Machine()
    machine.io_apic.write(SELECT, 4, 0x112)
    assert machine.io_apic.read(SELECT) == 0x12


def test_the_id_has_four_bits_and_the_version_cannot_be_written() -> None:
    machine = Machine()
    machine.write(0, 0xFFFFFFFF)
    machine.write(1, 0)
    assert (machine.read(0), machine.read(2)) == (0x0F000000, 0x0F000000)
    assert machine.read(1) == 0x0017_0020


def test_both_halves_of_an_entry_are_kept_apart_and_status_bits_cannot_be_written() -> None:
    machine = Machine()
    machine.write(0x11 + 2 * LINE, 0xFFFFFFFF)
    assert machine.entry() == 0xFF000000 << 32 | MASKED
    machine.route(0xFFFFFFFF, destination=0xFF)
    assert machine.entry() == 0xFF000000 << 32 | 0x1AFFF
    assert machine.entry(LINE + 1) == MASKED
    assert machine.entry(LINE - 1) == MASKED


def test_an_edge_asks_once_and_the_level_after_it_does_not() -> None:
    machine = Machine()
    machine.route(VECTOR)
    for level in (True, True, False, True):
        machine.io_apic.set_line(LINE, level)
    assert machine.requests == [(VECTOR, False)] * 2
    machine.io_apic.ended(VECTOR)
    assert len(machine.requests) == 2


def test_an_edge_on_a_masked_input_is_neither_delivered_nor_held() -> None:
    machine = Machine()
    machine.route(MASKED | VECTOR)
    machine.io_apic.set_line(LINE, True)
    machine.route(VECTOR)
    assert machine.requests == []


def test_a_level_asks_again_at_the_end_of_the_interrupt_for_as_long_as_it_lasts() -> None:
    machine = Machine()
    machine.route(LEVEL | VECTOR)
    machine.io_apic.set_line(LINE, True)
    assert machine.requests == [(VECTOR, True)]
    assert machine.entry() == LEVEL | REMOTE_IRR | VECTOR
    machine.io_apic.set_line(LINE, False)
    machine.io_apic.set_line(LINE, True)
    assert len(machine.requests) == 1  # the processor is not done with the first
    machine.io_apic.ended(VECTOR + 1)
    assert len(machine.requests) == 1
    machine.io_apic.ended(VECTOR)
    assert len(machine.requests) == 2
    machine.io_apic.set_line(LINE, False)
    machine.io_apic.ended(VECTOR)
    assert len(machine.requests) == 2
    assert machine.entry() == LEVEL | VECTOR


def test_a_level_that_was_masked_asks_when_it_is_unmasked() -> None:
    machine = Machine()
    machine.route(MASKED | LEVEL | VECTOR)
    machine.io_apic.set_line(LINE, True)
    assert machine.requests == []
    machine.route(LEVEL | VECTOR)
    assert machine.requests == [(VECTOR, True)]
    machine.route(LEVEL | VECTOR)
    assert len(machine.requests) == 1


def test_the_end_register_ends_a_vector_without_the_processor() -> None:
    machine = Machine()
    machine.route(LEVEL | VECTOR)
    machine.io_apic.set_line(LINE, True)
    machine.io_apic.set_line(LINE, False)
    machine.io_apic.write(END, 4, VECTOR)
    assert machine.entry() == LEVEL | VECTOR


@pytest.mark.parametrize(("mode", "arrives"), [(0, True), (1, True), (2, False), (4, False), (5, False), (7, False)])
def test_only_fixed_and_lowest_priority_delivery_are_interrupts_with_a_vector(mode: int, arrives: bool) -> None:
    machine = Machine()
    machine.route(mode << 8 | VECTOR)
    machine.io_apic.set_line(LINE, True)
    assert bool(machine.requests) is arrives


@pytest.mark.parametrize(
    ("destination", "mode", "takers"),
    [
        (0, 0, "first"),
        (1, 0, "second"),
        (2, 0, ""),
        (0xFF, 0, "first second"),
        (1, LOGICAL, "first"),
        (2, LOGICAL, "second"),
        (3, LOGICAL, "first second"),
        (3, LOGICAL | LOWEST_PRIORITY, "first"),
        (4, LOGICAL, ""),
    ],
)
def test_an_entry_s_destination_says_who_takes_its_interrupt(destination: int, mode: int, takers: str) -> None:
    machine = Machine()
    machine.route(mode | VECTOR, destination=destination)
    machine.io_apic.set_line(LINE, True)
    took = [name for name in ("first", "second") if getattr(machine, name).requests == [(VECTOR, False)]]
    assert " ".join(took) == takers


def test_a_level_for_a_processor_that_is_not_there_is_not_taken() -> None:
    machine = Machine()
    machine.route(LEVEL | VECTOR, destination=9)
    machine.io_apic.set_line(LINE, True)
    assert not machine.entry() & REMOTE_IRR


def test_a_line_can_be_routed_as_an_nmi() -> None:
    machine = Machine()
    machine.route(4 << 8 | VECTOR)
    machine.io_apic.set_line(LINE, True)
    assert machine.first.nmi
    assert not machine.second.nmi


def test_inputs_are_their_own() -> None:
    machine = Machine()
    for number in range(24):
        machine.route(0x40 + number, number)
    for number in (23, 0, 4):
        machine.io_apic.set_line(number, True)
    assert machine.requests == [(0x57, False), (0x40, False), (0x44, False)]
