"""OVMF's own Linux loader: the grid, the limits, the handover entry and its third initrd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import GIB, MIB
from tests.loaders.made import names, start, where

Run = Callable[..., BootResult]
INITRD_38 = 40_723_557


def test_the_landing_that_was_recorded_comes_out(run: Run) -> None:
    result = run("direct-legacy", INITRD_38, td=False)
    assert start(result, "handover_kernel") == 0xC00000  # 0x400000 and 0x800000 run into firmware's 0x806000
    assert start(result, "kernel") == 0x4400000
    assert where(result, "setup").end <= 1 * GIB
    assert where(result, "cmdline").end <= 0xA0000


def test_three_initrds_are_resident_at_once(run: Run) -> None:
    result = run("direct-legacy", INITRD_38)
    assert [name for name in names(result) if "initrd" in name] == ["initrd_file", "handover_initrd", "initrd"]


def test_without_a_handover_entry_firmware_leaves_boot_services_itself_and_unaccepted_memory_is_lost(
    run: Run, made_without_pe: Path
) -> None:
    result = run("direct-legacy", INITRD_38, kernel=made_without_pe)
    assert result.booted
    assert result.lost_bytes == result.left_to_os_bytes > 0
    assert [name for name in names(result) if "initrd" in name] == ["initrd_file", "initrd"]


def test_the_grid_without_a_free_place_is_out_of_resources_and_option_1_is_never_asked(run: Run) -> None:
    result = run("direct-legacy", 392 * MIB, accept="512M", on_demand="allocator")
    assert (result.status, result.stage) == (EfiStatus.EFI_OUT_OF_RESOURCES, "load_kernel")
    assert result.on_demand_bytes == 0
    assert result.failure is not None
    assert "0x400000" in result.failure.why


def test_options_2_and_3_reach_the_grid(run: Run) -> None:
    for on_demand in ("loader", "service"):
        assert run("direct-legacy", 380 * MIB, accept="512M", memory="3G", on_demand=on_demand).booted, on_demand


def test_a_program_that_is_no_kernel_is_unsupported(run: Run, made_uki: Path) -> None:
    result = run("direct-legacy", kernel=made_uki)
    assert (result.status, result.stage) == (EfiStatus.EFI_UNSUPPORTED, "load_image")


def test_what_was_placed_before_the_piece_that_failed_is_given_back(run: Run) -> None:
    result = run("direct-legacy", 380 * MIB)
    assert {"setup"} <= {placement.what for placement in result.placements if placement.freed}
