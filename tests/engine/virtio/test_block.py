"""The block device: what its configuration says, reads, writes, and requests that it refuses."""

from __future__ import annotations

from collections import Counter

import pytest

from tdvfsh.engine.virtio.block import BlockDevice
from tests.engine.virtio.disk import MemoryDisk
from tests.engine.virtio.driver import DATA, READ, WRITE, Driver

IN, OUT, FLUSH, GET_ID, DISCARD = 0, 1, 4, 8, 11
OK, ERROR, UNSUPPORTED = 0, 1, 2
READ_ONLY, FLUSHES = 1 << 5, 1 << 9


def block(sectors: int = 64, writable: bool = True) -> tuple[Driver, MemoryDisk]:
    disk, missing = MemoryDisk(sectors, writable), Counter[str]()
    return Driver(BlockDevice(disk, b"serial", missing), missing).start(), disk


def test_the_configuration_tells_capacity_segments_and_block_size() -> None:
    driver, _ = block(77)
    assert driver.configuration("<Q") == 77
    assert driver.configuration("<I", 12) == 254
    assert driver.configuration("<I", 20) == 512
    assert driver.configuration("<Q", 4096 - 8) == 0


def test_sectors_are_read_and_written() -> None:
    driver, disk = block()
    assert driver.request(IN, 5, 1024) == (OK, bytes(disk.data[5 * 512 : 7 * 512]))
    assert driver.used == [(0, 1025)]
    assert driver.request(OUT, 9, 0, b"\xa5" * 512)[0] == OK
    assert disk.data[9 * 512 : 10 * 512] == b"\xa5" * 512
    assert disk.data[10 * 512] == 10
    assert driver.request(IN, 9, 512) == (OK, b"\xa5" * 512)
    assert driver.request(FLUSH, 0, 0)[0] == OK
    assert driver.request(GET_ID, 0, 20) == (OK, b"serial".ljust(20, b"\0"))


def test_a_read_only_disk_says_so_and_refuses_writes() -> None:
    driver, disk = block(writable=False)
    before = bytes(disk.data)
    assert driver.offered & READ_ONLY
    assert driver.offered & FLUSHES
    assert driver.request(OUT, 0, 0, bytes(512))[0] == ERROR
    assert disk.data == before
    assert any("read-only" in text for text in driver.missing)


@pytest.mark.parametrize(
    ("kind", "sector", "room", "status"),
    [(IN, 64, 512, ERROR), (IN, 63, 1024, ERROR), (IN, 1 << 63, 512, ERROR), (IN, 0, 100, ERROR), (DISCARD, 0, 0, 2)],
)
def test_what_is_not_on_the_disk_or_not_known_is_refused_with_a_status(
    kind: int, sector: int, room: int, status: int
) -> None:
    driver, _ = block()
    assert driver.request(kind, sector, room)[0] == status
    assert driver.status & 64 == 0
    assert driver.missing.total() == 1


def test_a_disk_that_fails_is_an_error_of_the_request() -> None:
    driver, disk = block()
    disk.broken = True
    assert driver.request(IN, 0, 512)[0] == ERROR
    disk.broken = False
    assert driver.request(IN, 0, 512)[0] == OK


def test_headers_and_data_may_be_cut_into_buffers_as_the_driver_likes() -> None:
    driver, disk = block()
    driver.memory.data[DATA : DATA + 16] = bytes(8) + (3).to_bytes(8, "little")
    driver.chain([(DATA, 5, READ), (DATA + 5, 11, READ), (DATA + 0x1000, 100, WRITE), (DATA + 0x2000, 413, WRITE)])
    driver.offer()
    memory = driver.memory.data
    assert memory[DATA + 0x1000 : DATA + 0x1064] + memory[DATA + 0x2000 : DATA + 0x2000 + 412] == disk.data[1536:2048]
    assert memory[DATA + 0x2000 + 412] == OK


@pytest.mark.parametrize("buffers", [[(DATA, 15, READ), (DATA + 64, 1, WRITE)], [(DATA, 16, READ)], [(DATA, 1, WRITE)]])
def test_a_request_without_header_or_status_stops_the_device(buffers: list[tuple[int, int, int]]) -> None:
    driver, _ = block()
    driver.chain(buffers)
    driver.offer()
    assert driver.status & 64
    assert any("without a header" in text for text in driver.missing)
    driver.start()
    assert driver.request(IN, 0, 512)[0] == OK
