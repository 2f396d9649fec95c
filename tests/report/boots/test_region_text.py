"""The plot of where each option boots, in plain text and as runs."""

from __future__ import annotations

from tdvfsh.boots.region import BOOTED, NOT_STARTED, OVER_ACCEPT, OVER_INITRD, Region
from tdvfsh.report.boots.region_text import region_dict, region_lines
from tdvfsh.units import MIB


def _region(over: str = OVER_INITRD, count: int = 12) -> Region:
    sizes = tuple(number * 10 * MIB for number in range(count))
    outcomes = (BOOTED,) * 4 + ("load_initrd",) * (count - 4)
    return Region(over, sizes, (("none", outcomes), ("service", (BOOTED,) * count)))


def test_a_row_has_a_mark_for_each_size_under_a_ruler() -> None:
    what, ruler, ticks, none, service, legend = region_lines(_region())
    assert what == "initrd size, 10 MiB a column"
    assert ruler.split() == ["0", "B", "100", "MiB"]
    assert ticks.strip() == "|.........|."
    assert none == "none     ####iiiiiiii"
    assert service == "service  ############"
    assert legend.strip() == "# boots, i no room for the initrd"


def test_what_varies_is_named_and_one_size_has_no_step() -> None:
    assert region_lines(_region(OVER_ACCEPT))[0] == "accepted at boot, 10 MiB a column"
    alone = Region(OVER_INITRD, (MIB,), (("none", (BOOTED,)),))
    assert region_lines(alone)[-2:] == ["none  #", "      # boots"]


def test_a_firmware_that_does_not_start_is_blank_and_an_unknown_end_is_named() -> None:
    found = Region(OVER_ACCEPT, (0, MIB), (("none", (NOT_STARTED, "hung")),))
    lines = region_lines(found)
    assert lines[-2] == "none   x"
    assert lines[-1].strip() == "x fails elsewhere"


def test_plain_values_are_runs_of_one_outcome() -> None:
    assert region_dict(_region())["options"] == {
        "none": [
            {"outcome": "boots", "first": 0, "last": 30 * MIB},
            {"outcome": "load_initrd", "first": 40 * MIB, "last": 110 * MIB},
        ],
        "service": [{"outcome": "boots", "first": 0, "last": 110 * MIB}],
    }
