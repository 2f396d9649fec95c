"""The state in which the TDX module starts each vCPU, and vCPUs that wait for each other in firmware."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tdvfsh.engine.errors import EngineError, GuestStopped
from tests.engine.firmware.made_firmware import CELLS, HLT, TD_HOB_ADDRESS, made_run, store, store_number

EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
PAUSE, FOR_EVER = b"\xf3\x90", b"\xeb\xfe"


def is_zero(register: int) -> bytes:
    return bytes((0x85, 0xC0 | register << 3 | register))


def branch_if_not_zero(code: bytes) -> bytes:
    return bytes((0x75, len(code)))


def wait_for(address: int) -> bytes:
    """Until a number is not 0, with PAUSE."""
    compare = b"\x83\x3d" + struct.pack("<I", address) + b"\0"
    return PAUSE + compare + bytes((0x74, 256 - len(PAUSE + compare) - 2))


def test_registers_tell_the_address_width_the_td_hob_and_the_index(tmp_path: Path) -> None:
    code = b"".join(store(each, CELLS + 4 * each) for each in range(8)) + HLT
    with made_run(tmp_path, code) as run:
        with pytest.raises(GuestStopped):
            run.run()
        found = struct.unpack_from("<8I", run.board.ram.view, CELLS)
    assert found == (0, TD_HOB_ADDRESS, 0, 48, 0, 0, 0, 0)


def test_a_processor_that_waits_without_pause_lets_the_others_run(tmp_path: Path) -> None:
    boot = wait_for(CELLS + 4) + HLT
    other = store(ESI, CELLS + 4) + FOR_EVER
    with made_run(tmp_path, is_zero(ESI) + branch_if_not_zero(boot) + boot + other, vcpus=3) as run:
        with pytest.raises(GuestStopped) as stopped:
            run.run()
        assert struct.unpack_from("<I", run.board.ram.view, CELLS + 4)[0] in (1, 2)
        assert run.board.vcpus.current.number == 0
    assert "vCPU 0" in "\n".join(stopped.value.violation.lines()).replace("      ", " ")


def test_the_other_processors_begin_when_the_boot_processor_first_waits(tmp_path: Path) -> None:
    boot = store_number(CELLS + 8, 1) + wait_for(CELLS + 4) + HLT
    other = b"\x8b\x3d" + struct.pack("<I", CELLS + 8) + store(EDI, CELLS + 12) + store(ESI, CELLS + 4) + FOR_EVER
    with made_run(tmp_path, is_zero(ESI) + branch_if_not_zero(boot) + boot + other, vcpus=2) as run:
        with pytest.raises(GuestStopped):
            run.run()
        assert struct.unpack_from("<I", run.board.ram.view, CELLS + 12) == (1,)


def test_the_time_limit_holds_while_all_spin(tmp_path: Path) -> None:
    with made_run(tmp_path, FOR_EVER, seconds=0.3) as run, pytest.raises(EngineError, match=r"given up after 0\.3 s"):
        run.run()


def test_code_in_ram_ends_sec(tmp_path: Path) -> None:
    code = store_number(CELLS, 0xFEEB) + b"\xb8" + struct.pack("<I", CELLS) + b"\xff\xe0"
    with made_run(tmp_path, code) as run:
        run.run_sec()
        assert run.board.cpu.read("RIP") == CELLS
