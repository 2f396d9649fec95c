"""Firmware made for tests: TDX metadata, and a few instructions at the reset vector."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.firmware.image import FirmwareImage, open_firmware
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB, KIB
from tests.formats.test_tdvf import firmware

Section = tuple[int, int, int, int, int, int]

SIZE: Final = 64 * KIB
BASE: Final = (1 << 32) - SIZE
TD_HOB_ADDRESS: Final = 0x809000
CELLS: Final = 0x80B000
"""Memory that is there from the start."""

BFV: Final = (0, SIZE, BASE, SIZE, 0, 1)
TD_HOB: Final = (0, 0, TD_HOB_ADDRESS, 0x2000, 2, 0)
TEMPORARY: Final = (0, 0, CELLS, 0x5000, 3, 0)
SECTIONS: Final = (BFV, TD_HOB, TEMPORARY)
HLT: Final = b"\xf4"
_CODE: Final = 0x100
_RESET_VECTOR: Final = 16


def made_firmware(code: bytes, sections: Sequence[Section] = SECTIONS) -> bytes:
    """An image of 64 KiB whose reset vector jumps to ``code``, 32-bit code in a TD."""
    end = firmware(tuple(sections))
    image = bytearray(SIZE - len(end)) + end
    image[_CODE : _CODE + len(code)] = code
    jump = b"\xe9" + struct.pack("<i", _CODE - (SIZE - _RESET_VECTOR + 5))
    image[SIZE - _RESET_VECTOR : SIZE - _RESET_VECTOR + len(jump)] = jump
    return bytes(image)


@contextmanager
def opened(folder: Path, data: bytes) -> Iterator[FirmwareImage]:
    """The image as a file that was read."""
    path = folder / "made.fd"
    path.write_bytes(data)
    with open_firmware(path) as image:
        yield image


@contextmanager
def made_run(folder: Path, code: bytes, vcpus: int = 1, seconds: float = 60) -> Iterator[FirmwareRun]:
    """A run of ``code``, which has not begun, in a TD of 1 GiB."""
    with (
        opened(folder, made_firmware(code)) as image,
        RunLimit(seconds) as limit,
        FirmwareRun(image, TdOptions(cost="kvm-2m", memory=GIB, vcpus=vcpus), limit=limit) as run,
    ):
        yield run


def store(register: int, address: int) -> bytes:
    """``mov [address], register`` in 32-bit code; the register by its number."""
    return b"\x89" + bytes((register << 3 | 5,)) + struct.pack("<I", address)


def store_number(address: int, value: int) -> bytes:
    """``mov dword [address], value``."""
    return b"\xc7\x05" + struct.pack("<II", address, value)
