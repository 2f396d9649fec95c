"""Ladders as a table, as rows and as plain values."""

from __future__ import annotations

from tdvfsh.boots.ladder import Rung
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.boots.ladder_text import ladder_dict, ladder_heading, ladder_lines, ladder_sfo
from tdvfsh.units import GIB, MIB

RUNGS = [
    Rung("firmware", "the firmware starts", 64 * MIB),
    Rung("initrd", "the initrd is placed", 300 * MIB),
    Rung("boots", "it boots", 200 * MIB, 100 * MIB),
]


def test_a_rung_is_a_line_with_the_smallest_size() -> None:
    lines = [" ".join(line.split()) for line in ladder_lines(RUNGS)]
    assert lines[:4] == [
        "stage accepted", "firmware 64 MiB the firmware starts", "initrd 300 MiB the initrd is placed",
        "boots 200 MiB it boots",
    ]  # fmt: skip


def test_what_is_not_monotone_and_a_boot_without_its_initrd_are_told() -> None:
    lines = ladder_lines(RUNGS)
    assert "Not monotone: boots is also reached with 100 MiB, but not with every size between." in lines
    assert lines[-1] == "From 200 MiB up to 300 MiB it boots without its initrd."
    assert len(ladder_lines([Rung("boots", "", MIB), Rung("initrd", "", MIB)])) == 3


def test_a_stage_that_no_size_reaches_is_never() -> None:
    never = [Rung("boots", "it boots", None)]
    assert ladder_lines(never)[1].split()[:2] == ["boots", "never"]
    assert ladder_sfo(never) == ['ShellCommand,"ladder"', 'Rung,"boots","","it boots",""']


def test_rows_and_plain_values_are_in_bytes() -> None:
    assert ladder_sfo(RUNGS)[-1] == f'Rung,"boots","{200 * MIB}","it boots","{100 * MIB}"'
    (found,) = ladder_dict([(TdOptions(memory=GIB), RUNGS)])["ladders"]
    assert found["rungs"] == [
        {"stage": "firmware", "meaning": "the firmware starts", "accepted_bytes": 64 * MIB,
         "also_reached_at_bytes": None},
        {"stage": "initrd", "meaning": "the initrd is placed", "accepted_bytes": 300 * MIB,
         "also_reached_at_bytes": None},
        {"stage": "boots", "meaning": "it boots", "accepted_bytes": 200 * MIB, "also_reached_at_bytes": 100 * MIB},
    ]  # fmt: skip


def test_a_heading_names_what_differs_between_ladders() -> None:
    heading = ladder_heading(TdOptions(loader="grub2.12", on_demand="loader"), "quiet")
    assert heading.startswith("grub2.12, firmware ")
    assert heading.endswith(", on demand: loader, command line 'quiet'")
