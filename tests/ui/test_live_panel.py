"""The upper part of the live view as text."""

from __future__ import annotations

import pytest

from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.ui.live_panel import BAR, CALLS, MODES, PLOT, TYPES, counters, panel_lines
from tdvfsh.units import GIB, TIB


def _texts(machine: Machine | None, width: int, height: int, mode: str, *, blocks: bool = True) -> list[str]:
    lines = panel_lines(machine, 0, width, height, mode, blocks=blocks)
    return ["".join(text for _, text in line) for line in lines]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("memory", [2 * GIB, 6 * GIB, 64 * TIB])
def test_it_keeps_to_its_window(mode: str, memory: int) -> None:
    machine = Machine(TdOptions(memory=memory))
    for width, height in ((120, 40), (80, 12), (40, 5), (60, 2), (40, 1), (40, 0)):
        lines = _texts(machine, width, height, mode)
        assert len(lines) <= height
        assert max(map(len, lines), default=0) <= max(width, 66)


def test_each_mode_shows_what_it_is_called() -> None:
    machine = Machine(TdOptions())
    assert "a cell" in _texts(machine, 100, 20, PLOT)[2]
    assert any("BS_Data" in line for line in _texts(machine, 100, 20, TYPES))
    assert any("AcceptMemory at boot" in line for line in _texts(machine, 100, 20, CALLS))
    assert len(_texts(machine, 100, 20, BAR)) == 2
    assert _texts(None, 100, 20, PLOT) == [" no machine"]


def test_counters_follow_an_accept_and_drop_the_least_telling_first() -> None:
    machine = Machine(TdOptions())
    machine.services.accept_memory(GIB, GIB)
    wide = "".join(text for _, text in counters(machine, 0, 200))
    assert wide.startswith(" 512 MiB at boot + 1 GiB on demand | 2.50 GiB unaccepted of 4 GiB | lasterror 0x0 | ")
    assert "TDCALLs" in wide
    narrow = "".join(text for _, text in counters(machine, 5, 70))
    assert "on demand" in narrow
    assert "TDCALLs" not in narrow
    assert ("class:toolbar.error", "lasterror 0x5") in counters(machine, 5, 100)
