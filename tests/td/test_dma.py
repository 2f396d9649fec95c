"""How many MapGPA calls IoMmuDxe's pool takes, by where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.dma import DmaRules, pool_calls
from tdvfsh.units import GIB, MIB

RECORDING = Path(__file__).parents[1] / "recordings" / "tdvf" / "mapgpa-t-2G-1-shell.txt"
SHARED = 1 << 47
PAGE = 0x1000


def recorded_pool() -> list[int]:
    """Addresses of the conversions to shared in RAM of 2 GiB, as real firmware made them."""
    rows = (int(line.split()[0], 16) for line in RECORDING.read_text().splitlines())
    return [gpa - SHARED for gpa in rows if SHARED < gpa < SHARED + 2 * GIB]


def test_the_pool_of_the_recorded_firmware_takes_the_calls_that_were_recorded() -> None:
    pool = recorded_pool()
    assert pool_calls(min(pool) - PAGE) == len(pool)


def test_a_buffer_of_2_mib_takes_one_call_only_where_it_fills_a_large_page() -> None:
    data = {first: pool_calls(first * PAGE) for first in range(512)}
    assert {first for first, calls in data.items() if calls == 901} == {512 - 404, 1024 - 917}
    assert set(data.values()) == {901, 1412}


@pytest.mark.parametrize(
    ("model", "memory", "calls"),
    [
        ("inteltdx", 2 * GIB, 1412),  # all of these by runs of the firmware
        ("inteltdx", 2047 * MIB, 1412),
        ("inteltdx", 1023 * MIB, 1412),
        ("ovmf-2025.02", 2 * GIB, 901),
        ("ovmf-2025.02", 2047 * MIB, 901),
        ("ovmf-2025.02", 1025 * MIB, 901),
        ("ovmf-2026.08", 4 * GIB, 901),
    ],
)
def test_the_model_s_calls_follow_from_where_its_pool_lies(model: str, memory: int, calls: int) -> None:
    assert Machine(TdOptions(memory=memory, firmware_model=model)).start.dma.pool_calls == calls


def test_a_pool_of_another_layout_has_the_calls_that_were_recorded() -> None:
    assert DmaRules(pool=100, pool_below=0x1000, pool_calls=7).under(1 << 31).pool_calls == 7
