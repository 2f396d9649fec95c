"""The countdown of blocks: the same in machine code and in Python, exact, and kept up by translation, REP and stops."""

from __future__ import annotations

import platform
import struct
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tdvfsh.engine.x86 import block_counter as module
from tdvfsh.engine.x86.block_counter import (
    BlockCounter,
    NativeBlockCounter,
    PythonBlockCounter,
    block_counter,
    machine_code,
)

unicorn: Any = pytest.importorskip("unicorn", reason="the CPU engine is not installed: extra [cpu]")
x86: Any = pytest.importorskip("unicorn.x86_const", reason="the CPU engine is not installed: extra [cpu]")

CODE = 0x1000
DATA = 0x8000
SIZE = 0x10000
SPIN = "EBFE"  # jmp self
COUNT_UP = "48FFC0 EBFB"  # inc rax; jmp back
STORE = "48B9" + (DATA).to_bytes(8, "little").hex() + "48FF01 EBFB"  # mov rcx, DATA; inc qword [rcx]; jmp back
COPY = "FC F3A4 EBFE"  # cld; rep movsb; jmp self
COUNTERS: list[Callable[[Any, int], BlockCounter]] = [block_counter, PythonBlockCounter]


def emulator(code: str) -> Any:
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.mem_map(0, SIZE)
    uc.mem_write(CODE, bytes.fromhex(code))
    return uc


def test_this_host_has_machine_code_if_it_is_one_of_those_that_there_is_code_for() -> None:
    expected = platform.machine().lower() in ("x86_64", "amd64", "aarch64")
    assert (machine_code() is not None) == expected
    if expected:
        assert isinstance(block_counter(emulator(SPIN), 1), NativeBlockCounter)


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("count", [1, 2, 3, 1000])
def test_it_stops_before_the_block_that_uses_the_count_up(counter: Any, count: int) -> None:
    uc = emulator(COUNT_UP)
    counting = counter(uc, count)
    uc.emu_start(CODE, 0)
    assert uc.reg_read(x86.UC_X86_REG_RAX) == count - 1
    assert uc.reg_read(x86.UC_X86_REG_RIP) == CODE
    assert counting.left == 0


@pytest.mark.parametrize("counter", COUNTERS)
def test_armed_again_it_continues_and_no_store_is_done_twice(counter: Any) -> None:
    uc = emulator(STORE)
    counting = counter(uc, 10)
    at = CODE
    for _ in range(50):
        uc.emu_start(at, 0)
        at = uc.reg_read(x86.UC_X86_REG_RIP)
        counting.arm(10)
    assert struct.unpack("<Q", uc.mem_read(DATA, 8))[0] == 50 * 9


@pytest.mark.parametrize("counter", COUNTERS)
def test_each_turn_of_a_rep_instruction_is_a_block_and_the_copy_is_whole(counter: Any) -> None:
    uc = emulator(COPY)
    uc.mem_write(DATA, bytes(range(200)))
    for register, value in ((x86.UC_X86_REG_RSI, DATA), (x86.UC_X86_REG_RDI, DATA + 0x1000), (x86.UC_X86_REG_RCX, 200)):
        uc.reg_write(register, value)
    counting = counter(uc, 7)
    at, stops = CODE, 0
    while uc.reg_read(x86.UC_X86_REG_RCX):
        uc.emu_start(at, 0)
        at = uc.reg_read(x86.UC_X86_REG_RIP)
        counting.arm(7)
        stops += 1
    assert stops > 200 // 7
    assert uc.mem_read(DATA + 0x1000, 200) == bytes(range(200))


def test_a_processor_that_does_not_stop_at_once_is_stopped_at_the_next_block() -> None:
    uc = emulator(COUNT_UP)
    counting = block_counter(uc, -5)
    uc.emu_start(CODE, 0)
    assert counting.left == -6


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("flush", [False, True])
def test_the_count_does_not_depend_on_how_often_code_was_translated(counter: Any, flush: bool) -> None:
    uc = emulator(COUNT_UP)
    counting = counter(uc, 100)
    at = CODE
    for _ in range(20):
        uc.emu_start(at, 0)
        at = uc.reg_read(x86.UC_X86_REG_RIP)
        if flush:
            uc.ctl_flush_tb()
        counting.arm(100)
    assert uc.reg_read(x86.UC_X86_REG_RAX) == 20 * 99


def test_code_that_changes_itself_is_counted_the_same_natively_and_in_python() -> None:
    # mov byte [rip + 3], 0x90; nop x4; dec ecx; jnz back; jmp self: the store hits its own block
    code = "C6050300000090 90909090 FFC9 75F1 EBFE"
    left = []
    for counter in COUNTERS:
        uc = emulator(code)
        uc.reg_write(x86.UC_X86_REG_ECX, 50)
        counting = counter(uc, 400)
        uc.emu_start(CODE, 0)
        left.append((counting.left, uc.reg_read(x86.UC_X86_REG_ECX), uc.reg_read(x86.UC_X86_REG_RIP)))
    assert left[0] == left[1]


def test_a_host_that_lets_nobody_write_code_counts_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: bytes) -> None:
        raise OSError

    monkeypatch.setattr(module, "_executable", refuse)
    assert isinstance(block_counter(emulator(SPIN), 3), PythonBlockCounter)


@pytest.mark.parametrize(("machine", "platform_name"), [("riscv64", "linux"), ("arm64", "darwin"), ("AMD64", "win32")])
def test_other_hosts_count_in_python(machine: str, platform_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "platform", platform_name)
    assert machine_code() is None
    assert isinstance(block_counter(emulator(SPIN), 3), PythonBlockCounter)


def test_the_code_for_64_bit_arm_counts_down_and_calls_with_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    arm: Any = pytest.importorskip("unicorn.arm64_const")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    code = machine_code()
    assert code is not None
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
    uc.mem_map(0, SIZE)
    uc.mem_write(CODE, code)
    back, stop = 0x4000, 0x5000
    uc.mem_write(DATA, struct.pack("<qQ", 2, stop))
    reached: list[int] = []

    def arrive(uc: Any, at: int, size: int, data: object) -> None:
        reached.append(at)
        uc.emu_stop()

    for place in (back, stop):
        uc.hook_add(unicorn.UC_HOOK_CODE, arrive, begin=place, end=place)
    for expected_left, expected_at in ((1, back), (0, stop), (-1, stop)):
        for register, value in (
            (arm.UC_ARM64_REG_X0, 0x77),
            (arm.UC_ARM64_REG_X3, DATA),
            (arm.UC_ARM64_REG_LR, back),
        ):
            uc.reg_write(register, value)
        uc.emu_start(CODE, back + 0x8000)
        assert reached.pop() == expected_at
        assert uc.reg_read(arm.UC_ARM64_REG_X0) == 0x77
        assert struct.unpack("<q", uc.mem_read(DATA, 8))[0] == expected_left
