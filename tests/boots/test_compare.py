"""Boots side by side along every axis."""

from __future__ import annotations

import pytest

from tdvfsh.boots.compare import compare
from tdvfsh.errors import UsageError
from tdvfsh.machine import TdOptions
from tdvfsh.report.boots.compare_text import compare_lines, compare_sfo, compared_rows
from tdvfsh.units import GIB
from tests.boots.made_files import INSTALLER_INITRD, Opener


def test_every_combination_is_booted_once_in_the_order_of_the_axes(opened: Opener) -> None:
    files = opened(INSTALLER_INITRD).boot
    rows = compared_rows(
        compare(
            TdOptions(),
            files,
            ["128M", "below-4g"],
            ["none", "service"],
            ["direct", "grub2.12"],
            memories=[2 * GIB, 8 * GIB],
            firmware_models=["inteltdx", "ovmf-2025.02"],
        )
    )
    assert len(rows) == len({(*row[:3], row.memory, row.firmware_model) for row in rows}) == 32
    assert [row.memory for row in rows] == [2 * GIB] * 16 + [8 * GIB] * 16
    assert all(row.boot_bytes + row.on_demand_bytes + row.left_to_os_bytes == row.memory for row in rows)
    assert all(row.booted == (row.on_demand == "service" or row.accept == "below-4g") for row in rows)
    headings = [line for line in compare_lines(rows) if " RAM, firmware " in line]
    assert headings == [
        f"{memory} GiB RAM, firmware {model}" for memory in (2, 8) for model in ("inteltdx", "ovmf-2025.02")
    ]
    assert f'"{2 * GIB}","inteltdx","0.0","' in compare_sfo(rows)[1]


def test_one_machine_needs_no_heading(opened: Opener) -> None:
    rows = compared_rows(compare(TdOptions(), opened(0).boot, ["512M"], ["none"], ["direct"]))
    assert compare_lines(rows)[0].startswith("accept")


def test_a_td_that_does_not_start_is_a_row_with_its_reason(opened: Opener) -> None:
    (row,) = compared_rows(compare(TdOptions(), opened(0).boot, ["16M"], ["none"], ["direct"]))
    assert (row.status, row.stage) == ("not started", "start")
    assert "needs" in row.why


def test_a_value_that_does_not_exist_is_refused_before_anything_is_booted(opened: Opener) -> None:
    told: list[int] = []
    with pytest.raises(UsageError, match="--loader lilo: unknown"):
        list(
            compare(
                TdOptions(), opened(0).boot, ["512M"], ["none"], ["direct", "lilo"], lambda done, _: told.append(done)
            )
        )
    assert told == []
