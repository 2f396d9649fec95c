"""Red Hat's linuxefi: pref_address first, everything below 2 GiB, and the handover entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import GIB, MIB
from tests.loaders.made import names, start, where

Run = Callable[..., BootResult]
INITRD_38 = 40_723_557


def test_the_kernel_goes_to_pref_address_and_its_stub_takes_the_next_free_slot(run: Run) -> None:
    result = run("grub-rh", INITRD_38)
    assert start(result, "handover_kernel") == 0x1000000
    assert where(result, "handover_kernel").memory_type is EfiMemoryType.EfiLoaderCode
    assert start(result, "kernel") == 0x4800000


def test_where_pref_address_is_taken_it_goes_to_the_top_below_2_gib(run: Run) -> None:
    result = run("grub-rh", INITRD_38, memory="4G", firmware_model="ovmf-2025.02", td=False)
    handover = where(result, "handover_kernel")
    assert handover.start > 0x1000000  # this firmware has a volume at 0x900000 to 0x1780000
    assert handover.end <= 2 * GIB


def test_the_initrd_is_placed_once_padded_and_the_stub_does_not_copy_it(run: Run) -> None:
    result = run("grub-rh", 1_000_003, 601)
    assert [name for name in names(result) if "initrd" in name] == ["initrd"]
    assert where(result, "initrd").size == 1_000_608


def test_each_piece_that_does_not_fit_says_which(run: Run) -> None:
    kernel = run("grub-rh", INITRD_38, memory="160M", td=False)
    initrd = run("grub-rh", 300 * MIB, memory="400M", td=False)
    assert kernel.failure is not None
    assert initrd.failure is not None
    assert (kernel.stage, initrd.stage) == ("load_kernel", "load_initrd")
    assert "can't allocate kernel" in kernel.failure.why
    assert "can't allocate initrd" in initrd.failure.why


def test_what_was_allocated_before_the_failure_is_given_back(run: Run) -> None:
    result = run("grub-rh", INITRD_38, memory="160M", td=False)
    assert {placement.what for placement in result.placements if placement.freed} == {"boot_params", "cmdline"}


def test_each_cure_reaches_the_initrd_and_option_1_the_kernel_too(run: Run) -> None:
    for on_demand in ("allocator", "loader", "service"):
        assert run("grub-rh", 400 * MIB, on_demand=on_demand).booted, on_demand
    assert not run("grub-rh", 400 * MIB).booted


def test_a_kernel_without_handover_entry_is_unsupported(run: Run, made_without_pe: Path) -> None:
    assert run("grub-rh", kernel=made_without_pe).status is EfiStatus.EFI_UNSUPPORTED
