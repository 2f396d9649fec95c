"""fw_cfg: selecting and reading items byte by byte and by DMA, the directory, and what it refuses."""

from __future__ import annotations

import struct
from collections import Counter

import pytest

from tdvfsh.engine.devices.fw_cfg import Contents, FwCfg, FwCfgItem

SELECT, DATA, HIGH, LOW = 0, 1, 4, 8
READ, SKIP, CHOOSE, WRITE = 2, 4, 8, 16
ERROR = 1


class Machine:
    """The device with 64 KiB of memory."""

    def __init__(self, items: dict[int, bytes] | None = None, files: dict[str, bytes] | None = None) -> None:
        self.memory = bytearray(0x10000)
        self.missing: Counter[str] = Counter()
        self.device = FwCfg(items or {}, files or {}, self, self.missing)

    def read(self, address: int, size: int) -> bytes | None:
        return bytes(self.memory[address : address + size]) if address + size <= len(self.memory) else None

    def write(self, address: int, data: Contents) -> bool:
        if address + len(data) > len(self.memory):
            return False
        self.memory[address : address + len(data)] = data
        return True

    def item(self, key: int, size: int) -> bytes:
        self.device.write(SELECT, 2, key)
        return bytes(self.device.read(DATA, 1) for _ in range(size))

    def transfer(self, control: int, length: int, address: int, at: int = 0x100) -> int:
        struct.pack_into(">IIQ", self.memory, at, control, length, address)
        self.device.write(HIGH, 4, 0)
        self.device.write(LOW, 4, int.from_bytes(at.to_bytes(4, "big"), "little"))
        status: int = struct.unpack_from(">I", self.memory, at)[0]
        return status

    def file(self, name: str) -> tuple[int, int]:
        """Key and size of a file by the directory."""
        count = int.from_bytes(self.item(FwCfgItem.FILE_DIRECTORY, 4), "big")
        directory = self.item(FwCfgItem.FILE_DIRECTORY, 4 + 64 * count)[4:]
        entries = [struct.unpack_from(">IHH56s", directory, 64 * number) for number in range(count)]
        return next((key, size) for size, key, _, text in entries if text.rstrip(b"\0").decode() == name)


def test_the_signature_and_the_interface_tell_of_dma() -> None:
    machine = Machine()
    assert machine.item(FwCfgItem.SIGNATURE, 4) == b"QEMU"
    assert machine.item(FwCfgItem.INTERFACE_VERSION, 4) == b"\3\0\0\0"
    assert machine.device.read(HIGH, 4).to_bytes(4, "little") + machine.device.read(LOW, 4).to_bytes(4, "little") == (
        b"QEMU CFG"
    )


def test_an_item_is_read_on_from_where_it_was_and_zeros_follow_its_end() -> None:
    machine = Machine({FwCfgItem.KERNEL_DATA: b"abc"})
    assert machine.item(FwCfgItem.KERNEL_DATA, 5) == b"abc\0\0"
    assert machine.item(FwCfgItem.KERNEL_DATA, 2) == b"ab"
    assert machine.device.read(DATA, 1) == ord("c")


def test_files_are_in_the_directory_in_the_order_of_their_names() -> None:
    machine = Machine(files={"etc/e820": b"12345", "bootorder": b"x"})
    assert machine.file("bootorder") == (0x20, 1)
    key, size = machine.file("etc/e820")
    assert machine.item(key, size) == b"12345"


def test_dma_selects_skips_and_copies_and_reports_0() -> None:
    machine = Machine({FwCfgItem.INITRD_DATA: bytes(range(200))})
    assert machine.transfer(FwCfgItem.INITRD_DATA << 16 | CHOOSE | SKIP, 10, 0) == 0
    assert machine.transfer(READ, 5, 0x2000) == 0
    assert machine.memory[0x2000:0x2006] == bytes((10, 11, 12, 13, 14, 0))


def test_dma_past_the_end_of_an_item_fills_with_zeros() -> None:
    machine = Machine({FwCfgItem.INITRD_DATA: b"ab"})
    machine.memory[0x2000:0x2004] = b"wxyz"
    assert machine.transfer(FwCfgItem.INITRD_DATA << 16 | CHOOSE | READ, 4, 0x2000) == 0
    assert machine.memory[0x2000:0x2004] == b"ab\0\0"


@pytest.mark.parametrize(("control", "address"), [(READ, 0xFFFF), (WRITE, 0x2000)])
def test_dma_to_where_there_is_no_ram_and_writes_are_errors(control: int, address: int) -> None:
    machine = Machine({FwCfgItem.INITRD_DATA: b"abcd"})
    assert machine.transfer(FwCfgItem.INITRD_DATA << 16 | CHOOSE | control, 4, address) == ERROR


def test_a_descriptor_without_ram_and_an_unknown_item_are_named() -> None:
    machine = Machine()
    machine.device.write(LOW, 4, 0x00FFFF00)
    assert machine.item(0x4567 & 0x3FFF, 1) == b"\0"
    assert machine.missing == {
        "fw_cfg DMA descriptor at 0xffff00, where there is no RAM": 1,
        "fw_cfg item 0x567": 1,
    }
