"""The transport: capabilities, initialization, interrupts by pin and by message, and the configuration window."""

from __future__ import annotations

import struct
from collections import Counter

import pytest

from tdvfsh.engine.virtio.block import BlockDevice
from tdvfsh.engine.virtio.entropy import EntropyDevice
from tdvfsh.engine.virtio.pci_space import COMMON, CONFIGURATION, ISR, NOTIFY
from tdvfsh.engine.virtio.transport import ACCESS_PLATFORM, EVENT_INDEX, INDIRECT, VERSION_1
from tests.engine.virtio.disk import MemoryDisk
from tests.engine.virtio.driver import AVAILABLE, BUS_MASTER, COMMAND, DATA, DEVICE_STATUS, USED, WRITE, Driver

MSIX, VENDOR = 0x11, 0x09


def driver(is_td: bool = False) -> Driver:
    return Driver(BlockDevice(MemoryDisk(64), b"id", Counter()), is_td=is_td)


def capabilities(driver: Driver) -> dict[tuple[int, int], int]:
    """Place of each capability by its number, and its kind where it is virtio's."""
    found, at = {}, driver.space.read(0x34, 1)
    while at:
        number = driver.space.read(at, 1)
        found[number, driver.space.read(at + 3, 1) if number == VENDOR else 0] = at
        at = driver.space.read(at + 1, 1)
    return found


def test_a_modern_block_device_names_itself_and_where_its_structures_are() -> None:
    machine = driver()
    assert machine.space.read(0, 4) == 0x10421AF4
    assert machine.space.read(8, 4) == 0x01000001
    assert machine.space.read(6, 2) & 0x10
    found = capabilities(machine)
    assert set(found) == {(VENDOR, 1), (VENDOR, 2), (VENDOR, 3), (VENDOR, 4), (VENDOR, 5), (MSIX, 0)}
    for kind, offset in ((1, COMMON), (2, NOTIFY), (3, ISR), (4, CONFIGURATION)):
        place = found[VENDOR, kind]
        assert machine.space.read(place + 4, 1) == 4
        assert machine.space.read(place + 8, 4) == offset
        assert machine.space.read(place + 12, 4) == 0x1000
    assert machine.space.read(found[VENDOR, 2] + 16, 4) == 4
    assert machine.space.read(found[MSIX, 0] + 2, 2) == 1


def test_the_structures_lie_in_a_base_address_of_64_bits_whose_size_can_be_asked_for() -> None:
    space = driver().space
    assert space.read(0x20, 4) == 0xC
    space.write(0x20, 4, 0xFFFFFFFF)
    space.write(0x24, 4, 0xFFFFFFFF)
    assert space.read(0x20, 8) == 0xFFFFFFFFFFFFC00C
    space.write(0x14, 4, 0xFFFFFFFF)
    assert space.read(0x14, 4) == 0xFFFFF000


def test_capabilities_cannot_be_written() -> None:
    machine = driver()
    before = bytes(machine.space.data[0x40:])
    for at in range(0x40, 0x100, 4):
        if at != capabilities(machine)[VENDOR, 5] + 16:
            machine.space.write(at, 4, 0)
    assert bytes(machine.space.data[0x40:]) == before


def test_a_td_s_device_must_be_driven_as_one_that_reaches_shared_memory_only() -> None:
    machine = driver(is_td=True)
    assert machine.offered & ACCESS_PLATFORM
    machine.common(DEVICE_STATUS, 1, 3)
    machine.accept(VERSION_1)
    machine.common(DEVICE_STATUS, 1, 11)
    assert not machine.status & 8
    machine.common(DEVICE_STATUS, 1, 0)
    machine.accept(VERSION_1 | ACCESS_PLATFORM)
    machine.common(DEVICE_STATUS, 1, 11)
    assert machine.status & 8
    assert not driver().offered & ACCESS_PLATFORM


@pytest.mark.parametrize("features", [0, VERSION_1 | 1 << 40, VERSION_1 | 1])
def test_features_that_were_not_offered_or_leave_out_version_1_are_not_taken(features: int) -> None:
    machine = driver()
    machine.accept(features)
    machine.common(DEVICE_STATUS, 1, 11)
    assert not machine.status & 8


def test_a_reset_forgets_the_queue_and_the_features() -> None:
    machine = driver().start()
    machine.common(DEVICE_STATUS, 1, 0)
    assert machine.status == 0
    assert machine.common(28, 2) == 0
    assert machine.common(32, 8) == 0
    assert machine.common(24, 2) == 256


def test_a_queue_that_does_not_exist_has_no_size_and_cannot_be_set_up() -> None:
    machine = driver()
    machine.common(22, 2, 1)
    assert machine.common(24, 2) == 0
    machine.common(28, 2, 1)
    assert machine.common(28, 2) == 0


@pytest.mark.parametrize("size", [0, 3, 512, 0xFFFF])
def test_an_invalid_queue_size_is_refused_and_named(size: int) -> None:
    machine = driver()
    machine.common(24, 2, size)
    assert machine.common(24, 2) == 256
    assert any("queue size" in text for text in machine.missing)


def test_addresses_are_written_by_halves_and_as_a_whole() -> None:
    machine = driver()
    machine.common(40, 4, 0x89ABCDEF)
    machine.common(44, 4, 0x01234567)
    assert machine.common(40, 8) == 0x0123456789ABCDEF
    machine.common(40, 8, 0x1000)
    assert machine.common(40, 8) == 0x1000


def test_a_device_that_is_not_ready_ignores_notifications() -> None:
    machine = driver()
    machine.function.write(NOTIFY, 2, 0)
    machine.start()
    machine.space.write(COMMAND, 2, 0)
    machine.request(0, 0, 512)
    assert machine.used == []
    assert sum(count for text, count in machine.missing.items() if "not ready" in text) == 2


# ---- interrupts -----------------------------------------------------------------------------------------------------


def test_the_pin_is_up_until_the_interrupt_status_is_read() -> None:
    machine = driver().start()
    assert machine.request(0, 0, 512)[0] == 0
    assert machine.level()
    assert machine.space.read(6, 2) & 8
    assert machine.interrupt_status() == 1
    assert not machine.level()
    assert machine.interrupt_status() == 0


def test_the_command_register_turns_the_pin_off() -> None:
    machine = driver().start()
    machine.space.write(COMMAND, 2, BUS_MASTER | 1 << 10)
    machine.request(0, 0, 512)
    assert not any(machine.pin)
    machine.space.write(COMMAND, 2, BUS_MASTER & ~(1 << 10))
    assert machine.level()


def test_a_driver_that_wants_no_interrupt_gets_none() -> None:
    machine = driver().start()
    machine.memory.data[AVAILABLE] = 1
    machine.request(0, 0, 512)
    assert machine.interrupt_status() == 0


def message_driver() -> Driver:
    machine = driver().start()
    control = capabilities(machine)[MSIX, 0] + 2
    machine.space.write(control, 2, 0x8000)
    machine.table = machine.space.base_addresses[0].device  # type: ignore[attr-defined]
    machine.control = control  # type: ignore[attr-defined]
    machine.common(26, 2, 1)
    return machine


def test_a_message_is_sent_to_its_entry_s_address_and_waits_while_that_is_masked() -> None:
    machine = message_driver()
    table = machine.table  # type: ignore[attr-defined]
    for offset, value in ((16, 0xFEE00000), (20, 0), (24, 0x41)):
        table.write(offset, 4, value)
    machine.request(0, 0, 512)
    assert machine.messages == []
    assert table.read(0x800, 8) == 2
    table.write(28, 4, 0)
    assert machine.messages == [(0xFEE00000, 0x41)]
    assert table.read(0x800, 8) == 0
    assert not any(machine.pin)
    machine.space.write(machine.control, 2, 0xC000)  # type: ignore[attr-defined]
    machine.request(0, 0, 512)
    assert len(machine.messages) == 1
    machine.space.write(machine.control, 2, 0x8000)  # type: ignore[attr-defined]
    assert len(machine.messages) == 2


def test_a_vector_that_is_not_in_the_table_reads_back_as_none() -> None:
    machine = message_driver()
    assert machine.common(26, 2) == 1
    machine.common(26, 2, 7)
    assert machine.common(26, 2) == 0xFFFF


def test_an_event_index_asks_for_interrupts_one_entry_at_a_time() -> None:
    machine = driver().start(EVENT_INDEX)
    struct.pack_into("<H", machine.memory.data, AVAILABLE + 4 + 2 * 8, 1)  # told once entry 1 was used
    machine.request(0, 0, 512)
    assert machine.interrupt_status() == 0
    assert struct.unpack_from("<H", machine.memory.data, USED + 4 + 8 * 8)[0] == 1
    machine.request(0, 0, 512)
    assert machine.interrupt_status() == 1


# ---- the window in configuration space --------------------------------------------------------------------------


def test_structures_can_be_reached_through_configuration_space() -> None:
    machine = driver()
    window = capabilities(machine)[VENDOR, 5]
    for offset, size, value in ((4, 1, 4), (8, 4, COMMON + DEVICE_STATUS), (12, 4, 1)):
        machine.space.write(window + offset, size, value)
    machine.space.write(window + 16, 1, 3)
    assert machine.status == 3
    assert machine.space.read(window + 16, 4) == 3
    machine.space.write(window + 8, 4, 0x4000)
    machine.space.write(window + 16, 1, 0)
    assert machine.status == 3


# ---- the entropy device -------------------------------------------------------------------------------------------


def test_random_bytes_are_the_same_in_every_run_and_bounded_in_each_request() -> None:
    got = []
    for _ in range(2):
        machine = Driver(EntropyDevice()).start(INDIRECT)
        machine.chain([(DATA, 100, WRITE), (DATA + 0x1000, 0x20000, WRITE)])
        machine.offer()
        assert machine.used == [(0, 1 << 16)]
        got.append(bytes(machine.memory.data[DATA : DATA + 100]))
        machine.offer()
        assert bytes(machine.memory.data[DATA : DATA + 100]) != got[-1]
    assert got[0] == got[1]
    assert len(set(got[0])) > 50
