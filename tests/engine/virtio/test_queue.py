"""Virtqueues that a hostile driver made: every one is refused by name, and costs no more than its size."""

from __future__ import annotations

import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.virtio.block import BlockDevice
from tdvfsh.engine.virtio.transport import EVENT_INDEX, INDIRECT
from tests.engine.virtio.disk import MemoryDisk
from tests.engine.virtio.driver import (
    AVAILABLE,
    CHAINED,
    DATA,
    MEMORY,
    READ,
    TABLE,
    TABLE_FLAG,
    USED,
    WRITE,
    Driver,
)
from tests.engine.virtio.driver import INDIRECT as INDIRECT_TABLE

NEEDS_RESET = 64


def started(features: int = 0) -> Driver:
    return Driver(BlockDevice(MemoryDisk(64), b"", Counter())).start(features)


def refused(driver: Driver, words: str) -> None:
    """The device has stopped, and says why once, counted."""
    assert driver.status & NEEDS_RESET
    assert [text for text in driver.missing if words in text], dict(driver.missing)
    assert driver.interrupt_status() & 2
    driver.offer()
    assert driver.used == []


def test_a_chain_that_is_a_loop() -> None:
    driver = started()
    driver.describe(0, DATA, 16, CHAINED, 1)
    driver.describe(1, DATA, 16, CHAINED, 0)
    driver.offer()
    refused(driver, "a loop")


def test_a_head_beyond_the_table() -> None:
    driver = started()
    driver.offer(8)
    refused(driver, "beyond its table")


def test_a_next_beyond_the_table() -> None:
    driver = started()
    driver.describe(0, DATA, 16, CHAINED, 0x8000)
    driver.offer()
    refused(driver, "beyond its table")


def test_more_requests_than_entries() -> None:
    driver = started()
    driver.set_available(9)
    refused(driver, "more requests than")


@pytest.mark.parametrize(("address", "size"), [(MEMORY, 1), (MEMORY - 1, 2), (1 << 63, 16), (DATA, 0xFFFFFFFF)])
def test_a_buffer_outside_of_ram(address: int, size: int) -> None:
    driver = started()
    driver.describe(0, address, size, READ)
    driver.offer()
    refused(driver, "a buffer outside of RAM")


def test_an_empty_buffer() -> None:
    driver = started()
    driver.describe(0, DATA, 0, READ)
    driver.offer()
    refused(driver, "an empty buffer")


def test_a_buffer_to_be_read_after_one_to_be_written() -> None:
    driver = started()
    driver.chain([(DATA, 1, WRITE), (DATA, 16, READ)])
    driver.offer()
    refused(driver, "to be read after")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (TABLE, "the descriptor table in private memory"),
        (AVAILABLE, "the available ring in private memory"),
        (DATA, "a buffer in private memory"),
        (USED, "the used ring in private memory"),
    ],
)
def test_private_memory_is_refused_named_and_counted(place: int, words: str) -> None:
    driver = Driver(BlockDevice(MemoryDisk(64), b"", Counter()), is_td=True).start()
    driver.memory.private = range(place, place + 0x800)
    driver.request(0, 0, 512)
    assert driver.status & NEEDS_RESET
    assert any(words in text for text in driver.missing)
    driver.start()
    driver.request(0, 0, 512)
    assert next(count for text, count in driver.missing.items() if words in text) == 2


# ---- indirect tables --------------------------------------------------------------------------------------------


def test_an_indirect_table_is_followed() -> None:
    driver = started(INDIRECT)
    struct.pack_into("<IIQ", driver.memory.data, DATA, 0, 0, 7)
    buffers = [(DATA, 16, READ), (DATA + 0x1000, 512, WRITE), (DATA + 0x2000, 1, WRITE)]
    driver.chain(buffers, INDIRECT_TABLE)
    driver.describe(0, INDIRECT_TABLE, 48, TABLE_FLAG)
    driver.offer()
    assert driver.used == [(0, 513)]
    assert driver.memory.data[DATA + 0x1000] == 7


def test_a_chain_may_end_in_an_indirect_table() -> None:
    """VIRTIO 1.2, 2.7.5.3.2: a device takes chained descriptors that are followed by one of a table."""
    driver = started(INDIRECT)
    struct.pack_into("<IIQ", driver.memory.data, DATA, 0, 0, 7)
    driver.chain([(DATA + 0x1000, 512, WRITE), (DATA + 0x2000, 1, WRITE)], INDIRECT_TABLE)
    driver.describe(0, DATA, 16, CHAINED, 1)
    driver.describe(1, INDIRECT_TABLE, 32, TABLE_FLAG)
    driver.offer()
    assert driver.used == [(0, 513)]
    assert driver.memory.data[DATA + 0x1000] == 7


@pytest.mark.parametrize("size", [0, 15, 17, 16 * 1025, 0xFFFFFFF0])
def test_an_indirect_table_of_an_invalid_size(size: int) -> None:
    driver = started(INDIRECT)
    driver.describe(0, INDIRECT_TABLE, size, TABLE_FLAG)
    driver.offer()
    refused(driver, "of an invalid size")


def test_an_indirect_table_in_another_one() -> None:
    driver = started(INDIRECT)
    driver.describe(0, INDIRECT_TABLE, 16, TABLE_FLAG)
    driver.describe(0, INDIRECT_TABLE, 16, TABLE_FLAG, table=INDIRECT_TABLE)
    driver.offer()
    refused(driver, "where there may be none")


def test_an_indirect_table_that_goes_on_or_was_not_agreed_on() -> None:
    for features, flags in ((INDIRECT, TABLE_FLAG | CHAINED), (0, TABLE_FLAG)):
        driver = started(features)
        driver.describe(0, INDIRECT_TABLE, 16, flags)
        driver.offer()
        refused(driver, "where there may be none")


def test_an_indirect_loop_ends() -> None:
    driver = started(INDIRECT)
    driver.describe(0, INDIRECT_TABLE, 32, TABLE_FLAG)
    driver.describe(0, DATA, 16, CHAINED, 1, INDIRECT_TABLE)
    driver.describe(1, DATA, 16, CHAINED, 0, INDIRECT_TABLE)
    driver.offer()
    refused(driver, "a loop")


def test_indexes_wrap_around() -> None:
    driver = started()
    for _ in range(70_000 // 64):
        driver.request(0, 0, 512)
    assert not driver.status & NEEDS_RESET
    assert struct.unpack_from("<H", driver.memory.data, USED + 2)[0] == 70_000 // 64
    driver.at = [0]
    driver.start()
    for count in range(0x10005):
        if count % 0x1111 == 0:
            assert driver.request(0, count % 64, 512)[0] == 0
        else:
            driver.offer()
    assert not driver.status & NEEDS_RESET
    assert struct.unpack_from("<H", driver.memory.data, USED + 2)[0] == 5


@given(st.binary(min_size=64, max_size=0x200), st.binary(min_size=16, max_size=64), st.booleans())
def test_whatever_the_driver_writes_nothing_but_a_refusal_comes_of_it(table: bytes, ring: bytes, more: bool) -> None:
    driver = started(INDIRECT | EVENT_INDEX if more else 0)
    driver.memory.data[TABLE : TABLE + len(table)] = table
    driver.memory.data[AVAILABLE : AVAILABLE + len(ring)] = ring
    driver.set_available(ring[0] % 8 + 1)
    assert driver.status & NEEDS_RESET or len(driver.used) == ring[0] % 8 + 1
