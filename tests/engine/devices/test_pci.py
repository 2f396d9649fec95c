"""PCI configuration by ports and by the enhanced access window: identities, base addresses, decoding."""

from __future__ import annotations

from collections import Counter

import pytest

from tdvfsh.engine.devices.bus import DeviceBus
from tdvfsh.engine.devices.pci import BaseAddress, ConfigurationSpace, PciBus
from tdvfsh.engine.devices.pci_functions import AHCI as AHCI_FUNCTION
from tdvfsh.engine.devices.pci_functions import PciFunction
from tdvfsh.engine.errors import GuestReset

ADDRESS, RESET, DATA = 0, 1, 4
ENABLE = 1 << 31
HOST_BRIDGE, LPC, AHCI, SMBUS = 0x00 << 11, 0xF8 << 8, 0xFA << 8, 0xFB << 8
NOTHING = 0xFFFFFFFF
COMMAND, BAR5, PCIEXBAR = 0x04, 0x24, 0x60
BASE, WINDOW = 0xC0001000, 0xE0000000


class Echo:
    """A device whose registers hold their own offsets."""

    def __init__(self) -> None:
        self.written: list[tuple[int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        return offset

    def write(self, offset: int, size: int, value: int) -> None:
        self.written.append((offset, size, value))


class Machine:
    """A bus with an AHCI function that has one base address."""

    def __init__(self) -> None:
        self.missing: Counter[str] = Counter()
        self.ports, self.memory = DeviceBus("port", self.missing), DeviceBus("address", self.missing)
        self.echo = Echo()
        bars = {AHCI_FUNCTION: (BaseAddress(5, 0x1000, False, self.echo),)}
        self.pci = PciBus(self.ports, self.memory, self.missing, bars)

    def read(self, place: int, register: int = 0, size: int = 4, offset: int = 0) -> int:
        self.pci.write(ADDRESS, 4, ENABLE | place | register)
        return self.pci.read(DATA + offset, size)

    def write(self, place: int, register: int, value: int, size: int = 4) -> None:
        self.pci.write(ADDRESS, 4, ENABLE | place | register & ~3)
        self.pci.write(DATA + register % 4, size, value)


@pytest.mark.parametrize(
    ("place", "identity", "kind"),
    [
        (HOST_BRIDGE, 0x29C08086, 0x0600),
        (LPC, 0x29188086, 0x0601),
        (AHCI, 0x29228086, 0x0106),
        (SMBUS, 0x29308086, 0x0C05),
    ],
)
def test_each_function_of_q35_says_who_and_what_it_is(place: int, identity: int, kind: int) -> None:
    machine = Machine()
    assert machine.read(place) == identity
    assert machine.read(place, size=2) == 0x8086
    assert machine.read(place, size=2, offset=2) == identity >> 16
    assert machine.read(place, 8, size=2, offset=2) == kind


def test_a_device_with_several_functions_says_so() -> None:
    assert Machine().read(LPC, 0x0C, size=1, offset=2) == 0x80
    assert Machine().read(HOST_BRIDGE, 0x0C, size=1, offset=2) == 0


@pytest.mark.parametrize("place", [0x01 << 11, 0xF9 << 8, 1 << 16, 1 << 16 | LPC])
def test_where_there_is_no_function_all_bits_are_set_and_writes_are_lost(place: int) -> None:
    machine = Machine()
    machine.write(place, 0x40, 0)
    assert machine.read(place) == NOTHING
    assert machine.read(place, size=1) == 0xFF


def test_the_address_reads_back_without_the_bits_that_it_lacks_and_takes_words_of_32_bits_only() -> None:
    pci = Machine().pci
    pci.write(ADDRESS, 4, 0xFFFFFFFF)
    assert pci.read(ADDRESS, 4) == 0x80FFFFFC
    pci.write(ADDRESS, 1, 0)
    pci.write(ADDRESS, 2, 0)
    assert pci.read(ADDRESS, 4) == 0x80FFFFFC
    assert pci.read(ADDRESS, 2) == 0xFFFF


def test_without_the_enable_bit_nothing_answers() -> None:
    pci = Machine().pci
    pci.write(ADDRESS, 4, 0)
    assert pci.read(DATA, 4) == NOTHING


def test_the_reset_control_register_resets_with_bit_2_and_keeps_its_others() -> None:
    pci = Machine().pci
    pci.write(RESET, 1, 2)
    assert pci.read(RESET, 1) == 2
    with pytest.raises(GuestReset) as ended:
        pci.write(RESET, 1, 6)
    assert ended.value.kind == "cold"


def test_what_a_function_is_cannot_be_written_and_device_registers_can() -> None:
    machine = Machine()
    machine.write(LPC, 0, 0)
    machine.write(LPC, 8, 0)
    assert machine.read(LPC) == 0x29188086
    assert machine.read(LPC, 8) >> 16 == 0x0601
    machine.write(LPC, 0x42, 0x5A, size=1)
    assert machine.read(LPC, 0x40) == 0x5A0000


def test_a_base_address_tells_its_size_and_one_that_is_not_there_stays_0() -> None:
    machine = Machine()
    machine.write(AHCI, BAR5, NOTHING)
    assert machine.read(AHCI, BAR5) == 0xFFFFF000
    machine.write(AHCI, BAR5 - 4, NOTHING)
    assert machine.read(AHCI, BAR5 - 4) == 0


def test_registers_answer_at_their_base_address_while_the_command_register_lets_them() -> None:
    machine = Machine()
    machine.write(AHCI, BAR5, BASE)
    assert not machine.memory.regions
    machine.write(AHCI, COMMAND, 2, size=2)
    machine.memory.write(BASE + 8, 4, 7)
    assert (machine.memory.read(BASE + 0x10, 4), machine.echo.written) == (0x10, [(8, 4, 7)])
    machine.write(AHCI, BAR5, BASE + 0x1000)
    assert [region.start for region in machine.memory.regions] == [BASE + 0x1000]
    machine.write(AHCI, COMMAND, 0, size=2)
    assert not machine.memory.regions


def test_a_base_address_on_another_device_is_named_and_does_not_answer() -> None:
    machine = Machine()
    machine.memory.attach(BASE, 0x1000, "another", Echo())
    machine.write(AHCI, COMMAND, 2, size=2)
    machine.write(AHCI, BAR5, BASE)
    assert [region.name for region in machine.memory.regions] == ["another"]
    assert any("another device" in text for text in machine.missing)


def test_the_window_shows_configuration_space_where_pciexbar_says_so() -> None:
    machine = Machine()
    machine.write(HOST_BRIDGE, PCIEXBAR + 4, 0)
    machine.write(HOST_BRIDGE, PCIEXBAR, WINDOW | 1)
    lpc = WINDOW + (0xF8 << 12)
    assert machine.memory.read(lpc, 4) == 0x29188086
    assert machine.memory.read(WINDOW + (1 << 20), 4) == NOTHING
    machine.memory.write(lpc + 0x44, 1, 0x80)
    assert machine.read(LPC, 0x44, size=1) == 0x80
    machine.write(HOST_BRIDGE, PCIEXBAR, WINDOW)
    assert machine.memory.regions == ()


# ---- devices that are plugged in ----------------------------------------------------------------------------------


class Plugged(Machine):
    """The bus with a device that has base addresses of 32 and of 64 bits."""

    def __init__(self) -> None:
        super().__init__()
        bars = (BaseAddress(1, 0x1000, False, self.echo), BaseAddress(4, 0x4000, False, self.echo, wide=True))
        self.space = ConfigurationSpace(PciFunction(3, 0, 0x1042, 0x010000, 0x1AF4, 1), False, bars, "PCI 03.0")
        self.pci.plug(3, self.space)


def test_base_addresses_are_assigned_apart_and_aligned_and_decode_at_once() -> None:
    machine = Plugged()
    machine.pci.assign(0xC0000000)
    assert [(region.start, region.end) for region in machine.memory.regions] == [
        (0xC0000000, 0xC0001000),
        (0xC0004000, 0xC0008000),
    ]
    assert machine.pci.high_memory is None


def test_a_base_address_of_64_bits_may_lie_above_4_gib() -> None:
    machine = Plugged()
    place = 3 << 11
    machine.write(place, 0x20, 0x4000)
    machine.write(place, 0x24, 0x8)
    machine.write(place, COMMAND, 2, 2)
    assert machine.memory.read(0x800004010, 4) == 0x10
    assert machine.pci.high_memory == (0x800004000, 0x800008000)


def test_a_device_number_is_given_once() -> None:
    machine = Plugged()
    for taken in (3, 0x1F):
        with pytest.raises(ValueError, match="exists"):
            machine.pci.plug(taken, machine.space)
