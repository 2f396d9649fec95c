"""The comparison's table and its standard format output."""

from __future__ import annotations

from tdvfsh.report.boots.compare_text import ComparedRow, compare_lines, compare_sfo
from tdvfsh.units import GIB, MIB


def _row(on_demand: str, status: str = "EFI_SUCCESS", accepted: int = 0, loader: str = "direct") -> ComparedRow:
    stage = "exit_boot_services" if status == "EFI_SUCCESS" else "load_initrd"
    return ComparedRow("512M", loader, on_demand, status, stage, 512 * MIB, accepted, GIB, 0.1, 0.0, "")


def test_options_that_end_alike_share_a_line() -> None:
    failed = "EFI_OUT_OF_RESOURCES"
    lines = compare_lines([_row("none", failed), _row("allocator", accepted=64 * MIB), _row("loader-literal", failed)])
    assert lines.index("") == 3
    assert "none, loader-literal" in lines[1]
    assert "OUT_OF_RESOURCES at load_initrd" in lines[1]
    assert "allocator" in lines[2]
    assert "64 MiB" in lines[2]


def test_options_that_make_no_difference_are_any() -> None:
    lines = compare_lines([_row("none"), _row("allocator"), _row("none", loader="grub2.12")])
    assert "any" in lines[1]
    assert "none" in lines[2]


def test_an_axis_is_named_once() -> None:
    lines = compare_lines([_row("none", "EFI_NOT_FOUND"), _row("service"), _row("none", loader="grub2.12")])
    assert lines[1].startswith("512M")
    assert lines[2].startswith(" ")
    assert lines[3].lstrip().startswith("grub2.12")


def test_sfo_rows_quote_every_value() -> None:
    lines = compare_sfo([_row("none")])
    assert lines[0] == 'ShellCommand,"compare"'
    assert lines[1].startswith('Boot,"512M","direct","none","EFI_SUCCESS","exit_boot_services","536870912"')
