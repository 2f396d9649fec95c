"""PCI configuration by ports, as a kernel looks for its host bridge."""

from __future__ import annotations

import pytest

from tdvfsh.engine.devices.pci_functions import PciConfiguration

ADDRESS, DATA = 0xCF8, 0xCFC
ENABLE = 1 << 31
HOST_BRIDGE, LPC, AHCI, SMBUS = 0x00 << 11, 0xF8 << 8, 0xFA << 8, 0xFB << 8
NOTHING = 0xFFFFFFFF


def read(place: int, register: int = 0, size: int = 4, offset: int = 0) -> int:
    pci = PciConfiguration()
    pci.write(ADDRESS, 4, ENABLE | place | register)
    return pci.read(DATA + offset, size)


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
    assert read(place) == identity
    assert read(place, size=2) == 0x8086
    assert read(place, size=2, offset=2) == identity >> 16
    assert read(place, 8, size=2, offset=2) == kind


@pytest.mark.parametrize("place", [0x01 << 11, 0xF9 << 8, 1 << 16, 1 << 16 | LPC])
def test_where_there_is_no_function_all_bits_are_set(place: int) -> None:
    assert read(place) == NOTHING
    assert read(place, size=1) == 0xFF


def test_the_address_reads_back_without_the_bits_that_it_lacks_and_takes_words_of_32_bits_only() -> None:
    pci = PciConfiguration()
    pci.write(ADDRESS, 4, 0xFFFFFFFF)
    assert pci.read(ADDRESS, 4) == 0x80FFFFFC
    pci.write(ADDRESS, 1, 0)
    pci.write(ADDRESS, 2, 0)
    assert pci.read(ADDRESS, 4) == 0x80FFFFFC
    assert pci.read(ADDRESS, 2) == 0xFFFF


def test_without_the_enable_bit_nothing_answers() -> None:
    pci = PciConfiguration()
    pci.write(ADDRESS, 4, 0)
    assert pci.read(DATA, 4) == NOTHING


def test_registers_cannot_be_written() -> None:
    pci = PciConfiguration()
    pci.write(ADDRESS, 4, ENABLE)
    pci.write(DATA, 4, 0)
    assert pci.read(DATA, 4) == 0x29C08086
