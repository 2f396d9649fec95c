"""MTRRs as OVMF leaves them."""

from __future__ import annotations

import pytest

from tdvfsh.engine.x86.memory_type_ranges import DEFAULT_TYPE, after_reset, as_ovmf_leaves_them
from tdvfsh.units import GIB, MIB


@pytest.mark.parametrize(
    ("low_memory_end", "base", "mask"),
    [
        (0, 0x80000000, 0xFF80000800),
        (512 * MIB, 0x80000000, 0xFF80000800),
        (2 * GIB, 0x80000000, 0xFF80000800),
        (0xB0000000, 0xC0000000, 0xFFC0000800),
        (3 * GIB, 0xC0000000, 0xFFC0000800),
        (3 * GIB + MIB, 0xE0000000, 0xFFE0000800),
        (4 * GIB, 0, 0),
    ],
)
def test_one_range_has_the_devices_below_4_gib(low_memory_end: int, base: int, mask: int) -> None:
    registers = as_ovmf_leaves_them(low_memory_end, 40)
    assert (registers[0x200], registers[0x201]) == (base, mask)
    assert not any(registers[number] for number in range(0x202, 0x210))


def test_memory_is_written_back_but_for_what_lies_from_640_kib_to_1_mib() -> None:
    registers = as_ovmf_leaves_them(2 * GIB, 40)
    assert registers[DEFAULT_TYPE] == 0xC06
    assert registers[0x250] == registers[0x258] == 0x0606060606060606
    assert not any(registers[number] for number in (0x259, *range(0x268, 0x270)))
    assert registers.keys() == after_reset().keys()
