"""Recorded footprints follow the top of low RAM, the number of vCPUs, and whether there is RAM above 4 GiB."""

from __future__ import annotations

import pytest

from tdvfsh.td.footprint import firmware_model
from tdvfsh.units import MIB


@pytest.mark.parametrize("name", ["ovmf-2022.11", "ovmf-2025.02"])
def test_a_block_of_2_mib_pages_stays_aligned_under_an_odd_top(name: str) -> None:
    """What lies under it, bins included, is 1 MiB lower under 2815M; PEI's stack is not (recorded)."""
    model = firmware_model(name)
    for stage in model.stages.values():
        even, odd = (
            {(piece.end - top, piece.memory_type) for piece in stage.layout(top)} for top in (0xB0000000, 0xAFF00000)
        )
        lower = {(end - MIB, kind) for end, kind in even if -0x4000000 < end <= -0x200000}
        assert lower <= odd
    assert model.bins_top(0xB0000000) - model.bins_top(0xAFF00000) == 2 * MIB
    lowest, free = stage.layout(0xAFF00000)[-len(stage.top) :][:2]
    assert (lowest.start, free.start) == (0xAFF00000 + stage.top[0].start, 0xAFF00000 + stage.top[1].start)


def test_pei_s_stack_lies_lower_for_each_vcpu_more_and_nothing_else_moves() -> None:
    stage = firmware_model("ovmf-2025.02").stages["shell"]
    one, three = stage.layout(0x80000000, 1), stage.layout(0x80000000, 3)
    moved = [(old, new) for old, new in zip(one, three, strict=True) if old != new]
    middle, stack, gap = moved
    assert stack[0].start - stack[1].start == gap[0].start - gap[1].start == 0x10000
    assert middle[1].end == stack[1].start
    assert gap[1].start == stack[1].end


@pytest.mark.parametrize("name", ["ovmf-2022.11", "ovmf-2025.02"])
def test_a_td_with_ram_above_4_gib_has_a_layout_of_its_own(name: str) -> None:
    model = firmware_model(name)
    assert set(model.above_4g) == set(model.stages)
    assert model.in_machine(False) is model
    assert model.in_machine(True).stages == model.above_4g != model.stages
    plain = firmware_model(name, td=False)
    assert plain.in_machine(True) is plain
