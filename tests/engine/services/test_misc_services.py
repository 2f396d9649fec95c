"""Services on ranges that a guest chose: right over the border of a piece, and never past the time limit."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.engine.abi import context as abi
from tdvfsh.engine.errors import GuestStopped, InaccessibleMemory
from tdvfsh.machine import TdOptions
from tdvfsh.units import MIB
from tests.engine.programs import Caller, guest

START = 0x4000000
PIECE = 64


@settings(max_examples=40)
@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 300))
def test_copying_in_pieces_is_copying(source: int, destination: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch, guest() as (firmware, _):
        patch.setattr(abi, "SLICE", PIECE)
        before = bytes(range(256)) * 3
        firmware.ram.write(START, before)
        Caller(firmware).boot("CopyMem", START + destination, START + source, size)
        expected = bytearray(before)
        expected[destination : destination + size] = before[source : source + size]
        assert firmware.ram.read(START, len(before)) == expected


def test_checksum_and_fill_reach_over_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abi, "SLICE", PIECE)
    with guest() as (firmware, _):
        caller = Caller(firmware)
        caller.boot("SetMem", START, 1000, 0x5A)
        assert firmware.ram.read(START - 1, 1002) == b"\0" + b"\x5a" * 1000 + b"\0"
        assert caller.boot("CalculateCrc32", START, 1000, caller.room) == 0
        assert firmware.ram.u32(caller.room) == zlib.crc32(b"\x5a" * 1000)


@pytest.mark.parametrize("service", ["CopyMem", "SetMem", "CalculateCrc32"])
def test_a_range_of_the_whole_memory_ends_with_the_time_limit(service: str) -> None:
    with guest(TdOptions(memory=512 * MIB, accept=parse_boot_accept("eager"))) as (firmware, _):
        caller = Caller(firmware)
        looked = []

        def over() -> None:
            looked.append(True)
            if len(looked) > 3:
                raise KeyboardInterrupt

        firmware.context.check_limit = over
        arguments = {
            "CopyMem": (START, START, 200 * MIB), "SetMem": (START, 200 * MIB, 0),
            "CalculateCrc32": (START, 200 * MIB, caller.room),
        }  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            caller.boot(service, *arguments[service])
        assert len(looked) == 4


def test_a_range_that_is_not_all_accepted_is_refused_before_a_byte_of_it_is_written() -> None:
    with guest(TdOptions(memory=1024 * MIB, accept=parse_boot_accept("512M"))) as (firmware, _):
        with pytest.raises((GuestStopped, InaccessibleMemory)):
            Caller(firmware).boot("SetMem", START, 1 << 40, 0x11)
        assert firmware.ram.read(START, 8) == bytes(8)
