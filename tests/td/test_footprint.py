"""Recorded footprints follow the top of low RAM."""

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
