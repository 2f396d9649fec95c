"""What QEMU before 10.2 writes into a kernel's setup header, field by field."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tdvfsh.engine.firmware.setup_header import patched_setup
from tdvfsh.units import GIB, MIB


@dataclass
class Files:
    """As much of what is booted as the header depends on."""

    cmdline: str = ""
    initrd_size: int = 0

    @property
    def initrds(self) -> tuple[int, ...]:
        return (self.initrd_size,) if self.initrd_size else ()


def setup(protocol: int = 0x20F, flags: int = 2, highest: int = 0x7FFFFFFF) -> bytes:
    data = bytearray(0x1000)
    data[0x206:0x208] = protocol.to_bytes(2, "little")
    data[0x211] = 1
    data[0x22C:0x230] = highest.to_bytes(4, "little")
    data[0x236:0x238] = flags.to_bytes(2, "little")
    return bytes(data)


def changes(before: bytes, after: bytes) -> dict[int, bytes]:
    return {at: after[at : at + 1] for at in range(len(before)) if before[at] != after[at]}


def number(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(data[at : at + size], "little")


def test_without_an_initrd_four_fields_change() -> None:
    data = patched_setup(Files(), setup(), 2 * GIB)  # type: ignore[arg-type]
    assert (data[0x210], data[0x211], number(data, 0x224, 2), number(data, 0x228)) == (0xB0, 0x81, 0xFE00, 0x20000)
    assert set(changes(setup(), data)) == {0x210, 0x211, 0x225, 0x22A}


@pytest.mark.parametrize(
    ("memory", "protocol", "flags", "highest", "address"),
    [
        (2 * GIB, 0x20F, 2, 0x7FFFFFFF, 2 * GIB - 0x28000 - 3 * MIB - 0x1000),
        (2 * GIB, 0x20F, 0, 0x37FFFFFF, 0x37FFFFFF - 3 * MIB & -0x1000),
        (2 * GIB, 0x203, 2, 0x37FFFFFF, 0x37FFFFFF - 3 * MIB & -0x1000),
        (GIB, 0x20F, 2, 0x7FFFFFFF, GIB - 0x28000 - 3 * MIB - 0x1000),
    ],
)
def test_an_initrd_s_place_depends_on_ram_and_kernel(
    memory: int, protocol: int, flags: int, highest: int, address: int
) -> None:
    files = Files(initrd_size=3 * MIB)
    data = patched_setup(files, setup(protocol, flags, highest), memory)  # type: ignore[arg-type]
    assert (number(data, 0x218), number(data, 0x21C)) == (address, 3 * MIB)


@pytest.mark.parametrize(
    ("cmdline", "mode"), [("quiet vga=ask", 0xFFFD), ("vga=normal", 0xFFFF), ("vga=791", 791), ("vga=0x318 x", 0x318)]
)
def test_vga_is_a_video_mode(cmdline: str, mode: int) -> None:
    data = patched_setup(Files(cmdline), setup(), GIB)  # type: ignore[arg-type]
    assert number(data, 0x1FA, 2) == mode
