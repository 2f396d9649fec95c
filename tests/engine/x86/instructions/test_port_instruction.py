"""What IN, OUT and their string forms ask for, from their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.x86.instructions.port_code import PortCode
from tdvfsh.engine.x86.instructions.port_instruction import allowed_by_task, decode_port_instruction

IN, STRING, REPEATED, IMMEDIATE = 8, 16, 32, 64


@pytest.mark.parametrize(
    ("code", "name", "length", "size"),
    [
        ("EC", "IN", 1, 1), ("ED", "IN", 1, 4), ("66ED", "IN", 2, 2), ("E460", "IN", 2, 1), ("48ED", "IN", 2, 4),
        ("EE", "OUT", 1, 1), ("66EF", "OUT", 2, 2), ("E780", "OUT", 2, 4), ("6C", "INS", 1, 1), ("666D", "INS", 2, 2),
        ("6F", "OUTS", 1, 4), ("F36E", "OUTS", 2, 1), ("F3676F", "OUTS", 3, 4),
    ],
)  # fmt: skip
def test_each_form_is_known_with_its_length_and_size(code: str, name: str, length: int, size: int) -> None:
    instruction = decode_port_instruction(bytes.fromhex(code) + b"\x90\x90")
    assert instruction is not None
    assert (instruction.name, instruction.length, instruction.size) == (name, length, size)


@pytest.mark.parametrize("code", ["90", "0FEC", "", "66", "48", "E4", "8BEC"])
def test_what_is_none_of_them_or_is_cut_off_is_nothing(code: str) -> None:
    assert decode_port_instruction(bytes.fromhex(code)) is None


@pytest.mark.parametrize(
    ("code", "flags"),
    [("EC", IN), ("EE", 0), ("E490", IN | IMMEDIATE), ("6C", IN | STRING), ("F36E", STRING | REPEATED), ("F3EC", IN)],
)
def test_the_qualification_names_port_size_and_form(code: str, flags: int) -> None:
    instruction = decode_port_instruction(bytes.fromhex(code))
    assert instruction is not None
    assert instruction.qualification(0x3F8) == 0x3F8 << 16 | flags


@given(st.lists(st.sampled_from(["90", "EC", "66ED", "4889EC", "E4EC", "F36E", "B8ECEDEEEF", "48B8ECEDEEEFE4E5E6E7"])))
def test_a_block_s_instructions_are_found_and_no_bytes_inside_of_others(codes: list[str]) -> None:
    at, wanted = 0x1000, []
    for code in codes:
        if code in ("EC", "66ED", "E4EC", "F36E"):
            wanted.append(at)
        at += len(code) // 2
    assert PortCode().places(bytes.fromhex("".join(codes)), 0x1000) == wanted


def task(base: int, bits: bytes) -> bytes:
    return bytes(102) + base.to_bytes(2, "little") + bits


@pytest.mark.parametrize(
    ("bits", "port", "size", "allowed"),
    [
        (b"\xff\xff", 3, 1, False), (b"\xf7\xff", 3, 1, True), (b"\xf7\xff", 3, 2, False),
        (b"\x7f\xfe\xff", 7, 2, True), (b"\x00\x00", 0, 4, True), (b"\x00\x00", 16, 1, False),
        (b"\x00\x00", 8, 1, False), (b"\x00\x00\xff", 8, 1, True),
    ],
)  # fmt: skip
def test_the_permission_map_of_the_task_lets_ports_through_whose_bits_are_clear(
    bits: bytes, port: int, size: int, allowed: bool
) -> None:
    segment = task(104, bits)

    def read(address: int, count: int) -> bytes | None:
        return segment[address : address + count]

    assert allowed_by_task(read, 0, len(segment) - 1, port, size) is allowed


def test_a_map_that_begins_behind_the_segment_lets_nothing_through() -> None:
    segment = task(0x8000, b"")
    assert not allowed_by_task(lambda at, size: segment[at : at + size], 0, len(segment) - 1, 0x3F8, 1)
