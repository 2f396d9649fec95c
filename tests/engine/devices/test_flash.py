"""A flash chip: commands, status, and what edk2's drivers ask of it."""

from __future__ import annotations

import pytest

from tdvfsh.engine.devices.flash import SECTOR, Flash

PROGRAM, ERASE, CONFIRM, CLEAR, STATUS, ARRAY, BUFFER, IDENTIFY = 0x10, 0x20, 0xD0, 0x50, 0x70, 0xFF, 0xE8, 0x90
READY = 0x80


@pytest.fixture
def flash() -> Flash:
    return Flash(bytes(range(1, 256)) + bytes(2 * SECTOR - 255))


def test_it_is_read_as_memory(flash: Flash) -> None:
    assert flash.read(0, 4) == 0x04030201
    assert flash.read(254, 2) == 0xFF


def test_edk2_finds_a_flash_and_neither_ram_nor_rom(flash: Flash) -> None:
    """OvmfPkg QemuFlashFvbServicesRuntimeDxe: cleared status is read back as neither command nor content."""
    flash.write(0, 1, CLEAR)
    assert flash.read(0, 1) == 1
    flash.write(0, 1, STATUS)
    assert flash.read(0, 1) == 0
    flash.write(0, 1, ARRAY)
    assert flash.read(0, 1) == 1


def test_a_byte_is_programmed_and_its_status_read_until_the_array_is_asked_for(flash: Flash) -> None:
    flash.write(5, 1, PROGRAM)
    flash.write(5, 1, 0xAA)
    assert flash.read(0, 1) == READY
    flash.write(6, 1, PROGRAM)
    flash.write(6, 1, PROGRAM)  # a value, though it looks like a command
    flash.write(6, 1, ARRAY)
    assert flash.read(4, 4) == 0x0810AA05


def test_a_sector_is_erased_to_ones_and_no_other(flash: Flash) -> None:
    flash.write(SECTOR + 9, 1, ERASE)
    flash.write(SECTOR + 9, 1, CONFIRM)
    assert flash.read(0, 1) == READY
    flash.write(0, 1, ARRAY)
    assert flash.data[SECTOR:] == b"\xff" * SECTOR
    assert flash.data[:SECTOR] == bytes(range(1, 256)) + bytes(SECTOR - 255)


def test_an_erase_that_is_not_confirmed_changes_nothing(flash: Flash) -> None:
    flash.write(0, 1, ERASE)
    flash.write(0, 1, ARRAY)
    assert flash.read(0, 1) == 1


def test_a_buffer_of_bytes_is_programmed_where_it_is_confirmed(flash: Flash) -> None:
    flash.write(8, 1, BUFFER)
    assert flash.read(8, 1) == READY
    flash.write(8, 1, 3)
    for at, byte in enumerate(b"\xd0\xff\x70\x10"):
        flash.write(8 + at, 1, byte)
    flash.write(8, 1, CONFIRM)
    flash.write(8, 1, ARRAY)
    assert flash.data[8:13] == b"\xd0\xff\x70\x10\x0d"


def test_it_does_not_say_what_it_is(flash: Flash) -> None:
    flash.write(0, 1, IDENTIFY)
    assert flash.read(0, 2) == 0
