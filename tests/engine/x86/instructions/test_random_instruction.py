"""RDRAND: decoded as a disassembler does, and the same numbers in every run."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.x86.instructions.random_instruction import RandomInstruction, RandomSequence, decode_rdrand

NAMES = {
    64: ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16))),
    32: ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", *(f"r{number}d" for number in range(8, 16))),
    16: ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di", *(f"r{number}w" for number in range(8, 16))),
}


@pytest.mark.parametrize(
    ("code", "length", "register", "bits"),
    [
        ("0fc7f0", 3, 0, 32),
        ("0fc7f7", 3, 7, 32),
        ("480fc7f0", 4, 0, 64),
        ("490fc7f3", 4, 11, 64),
        ("410fc7f4", 4, 12, 32),
        ("66 0fc7f1", 4, 1, 16),
        ("66 410fc7f1", 5, 9, 16),
        ("66 480fc7f1", 5, 1, 64),  # REX.W has the last word
        ("66 66 0fc7f1", 5, 1, 16),
        ("2e 0fc7f2", 4, 2, 32),
    ],
)
def test_operand_and_size_are_those_of_the_prefixes(code: str, length: int, register: int, bits: int) -> None:
    expected = RandomInstruction(length, register, bits)
    assert decode_rdrand(bytes.fromhex(code)) == expected
    assert decode_rdrand(bytes.fromhex(code) + b"\xcc\x48") == expected


@pytest.mark.parametrize(
    "code",
    [
        "", "0f", "0fc7", "66", "48", "480fc7", "6666",
        "0fc7f8",  # RDSEED
        "0fc730",  # a memory operand: VMPTRLD
        "0fc7c8",
        "f30fc7f8",  # RDPID
        "f30fc7f0", "f00fc7f0", "660f01cc", "0fa2",
    ],
)  # fmt: skip
def test_what_is_no_rdrand_is_none(code: str) -> None:
    assert decode_rdrand(bytes.fromhex(code)) is None


PREFIXES = st.lists(st.sampled_from([0x66, 0x2E, 0x64, 0xF3, 0xF2, 0x4A, 0x49, 0x41, 0x40, 0x4F]), max_size=3)


@given(PREFIXES.map(bytes), st.integers(0, 255))
def test_a_disassembler_agrees(prefixes: bytes, operand: int) -> None:
    capstone: Any = pytest.importorskip("capstone", reason="the CPU engine is not installed: extra [cpu]")
    code = prefixes + bytes((0x0F, 0xC7, operand)) + bytes(8)
    found = decode_rdrand(code)
    if found is None:
        return
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    _, length, name, operands = next(disassembler.disasm_lite(code, 0))
    assert (length, name, operands) == (found.length, "rdrand", NAMES[found.bits][found.register])


@pytest.mark.parametrize("rex", range(0x40, 0x50))
@pytest.mark.parametrize("register", range(8))
def test_every_register_of_every_rex_prefix_is_the_disassembler_s(rex: int, register: int) -> None:
    capstone: Any = pytest.importorskip("capstone", reason="the CPU engine is not installed: extra [cpu]")
    code = bytes((rex, 0x0F, 0xC7, 0xF0 | register))
    found = decode_rdrand(code)
    assert found is not None
    _, length, name, operands = next(capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64).disasm_lite(code, 0))
    assert (length, name, operands) == (found.length, "rdrand", NAMES[found.bits][found.register])


def test_numbers_fit_their_size_differ_and_come_again_in_the_next_run() -> None:
    sequence, again = RandomSequence(), RandomSequence()
    sizes = [16, 32, 64] * 50
    numbers = [sequence.next(bits) for bits in sizes]
    assert [again.next(bits) for bits in sizes] == numbers
    assert all(number < 1 << bits for number, bits in zip(numbers, sizes, strict=True))
    wide = numbers[2::3]
    assert len(set(wide)) == len(wide)
    assert all(0 < sum(number >> bit & 1 for number in wide) < len(wide) for bit in range(64))
