"""GRUB 2.06 as Debian builds it: a heap of a quarter, a block that is lost, a kernel that starts without its initrd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import GIB, MIB, PAGE_SIZE, align_up
from tests.loaders.made import KERNELS, names, start, where

Run = Callable[..., BootResult]
INITRD_67 = 0x4074000


def test_the_heap_is_a_quarter_of_what_is_free_below_4_gib(run: Run) -> None:
    two, six = (where(run("grub2.06", memory=memory, td=False), "heap").size for memory in ("2G", "6G"))
    assert two == six
    assert 480 * MIB < two < 512 * MIB


def test_a_first_attempt_loses_a_block_of_init_size_at_the_bottom_of_memory(run: Run) -> None:
    result = run("grub2.06", INITRD_67, td=False)
    size = align_up(KERNELS["6.12-cloud"].init_size, PAGE_SIZE)
    lost, kernel = where(result, "kernel_source"), where(result, "kernel")
    assert (lost.start, lost.size) == (0x80C000, size)
    assert kernel.start == align_up(lost.end, 2 * MIB) == 0x4000000
    assert not lost.freed


def test_the_initrd_ends_where_it_was_meant_to_begin(run: Run) -> None:
    result = run("grub2.06", 300 * MIB, memory="4G", td=False)
    assert (start(result, "initrd"), where(result, "initrd").end) == (0x127EF000, 0x253EF000)


@pytest.mark.parametrize("size", [90, 110, 150])
@pytest.mark.parametrize("on_demand", ["none", "allocator", "loader-literal"])
def test_an_initrd_that_the_heap_cannot_hold_is_left_out_and_the_kernel_starts(
    run: Run, size: int, on_demand: str
) -> None:
    result = run("grub2.06", size * MIB, on_demand=on_demand)
    assert result.booted
    assert "initrd" not in names(result)
    assert result.messages[0] == "error: out of memory."
    assert f"{size} MiB" in result.messages[1]
    assert result.on_demand_bytes == 0


def test_an_initrd_of_60_mib_works_with_the_same_heap(run: Run) -> None:
    assert "initrd" in names(run("grub2.06", 60 * MIB))


@pytest.mark.parametrize("on_demand", ["loader", "service"])
@pytest.mark.parametrize("size", [90, 300])
def test_a_grub_that_was_taught_to_accept_takes_more_heap(run: Run, on_demand: str, size: int) -> None:
    result = run("grub2.06", size * MIB, memory="4G", on_demand=on_demand)
    assert "initrd" in names(result)
    assert names(result).count("heap") == 2
    assert (result.on_demand_bytes > 0) == (size > 90)


def test_firmware_amid_memory_that_was_accepted_later_keeps_a_large_initrd_out(run: Run) -> None:
    lazy = run("grub2.06", 380 * MIB, memory="4G", on_demand="service")
    assert "initrd" not in names(lazy)  # firmware sits at 452 to 512 MiB, in the middle of the one place it could have
    assert "initrd" in names(run("grub2.06", 380 * MIB, memory="4G", accept="eager"))


def test_what_has_no_place_of_its_own_is_copied_there_when_the_boot_comes(run: Run) -> None:
    result = run("grub2.06", 300 * MIB, memory="4G", on_demand="service")
    source, initrd = where(result, "initrd_source"), where(result, "initrd")
    assert source.size == initrd.size == 300 * MIB
    assert initrd.end <= 0x37FF0000 - 300 * MIB


def test_the_initrd_may_lie_in_grubs_own_heap(run: Run) -> None:
    result = run("grub2.06", INITRD_67, memory="1G", td=False)
    heap, initrd = where(result, "heap"), where(result, "initrd")
    assert heap.start <= initrd.start
    assert initrd.end <= heap.end


def test_unaccepted_memory_is_lost_to_the_kernel_even_to_one_that_knows_it(run: Run) -> None:
    result = run("grub2.06", INITRD_67, memory="8G", accept="below-4g")
    assert result.lost_bytes == result.left_to_os_bytes == 6 * GIB
    assert any("type 15" in message for message in result.messages)
    assert run("grub2.12", INITRD_67, memory="8G", accept="below-4g").lost_bytes == 0


def test_a_kernel_without_a_place_is_the_end(run: Run) -> None:
    result = run("grub2.06", kernel="6.1", memory="256M", firmware_model="ovmf-2022.11", profile="bookworm", td=False)
    assert (result.status, result.stage) == (EfiStatus.EFI_OUT_OF_RESOURCES, "load_kernel")
    assert result.messages == ("error: out of memory.", "error: you need to load the kernel first.")
    assert result.failure is not None
    assert "63.59 MiB" in result.failure.why


def test_options_2_and_3_find_the_kernel_a_place_and_option_1_does_not(run: Run) -> None:
    booted = {
        on_demand: run("grub2.06", kernel="6.1", memory="2G", accept="192M", on_demand=on_demand).booted
        for on_demand in ("none", "allocator", "loader-literal", "loader", "service")
    }
    assert booted == {"none": False, "allocator": False, "loader-literal": False, "loader": True, "service": True}


def test_the_efi_stub_never_runs(run: Run) -> None:
    result = run("grub2.06", INITRD_67)
    assert not any(record.caller == "stub" for record in result.machine.trace)
    assert where(result, "kernel").memory_type is EfiMemoryType.EfiLoaderData


def test_an_efi_program_is_no_kernel_for_it(run: Run, made_uki: Path) -> None:
    result = run("grub2.06", kernel=made_uki)
    assert (result.status, result.stage) == (EfiStatus.EFI_UNSUPPORTED, "load_kernel")


def test_each_initrd_is_padded_to_4_bytes(run: Run) -> None:
    assert where(run("grub2.06", 1_000_003, 600), "initrd").size == 1_000_604


@pytest.mark.parametrize(
    ("initrd", "memory", "ends_with"),
    [
        (40_723_557, "224M", []),
        (40_723_557, "256M", ["kernel"]),
        (40_723_557, "288M", ["kernel"]),
        (40_723_557, "320M", ["kernel", "initrd"]),
        (300 * MIB, "1344M", ["kernel"]),
        (300 * MIB, "1408M", ["kernel", "initrd"]),
    ],
)
def test_the_ladder_that_was_run(run: Run, initrd: int, memory: str, ends_with: list[str]) -> None:
    result = run("grub2.06", initrd, memory=memory, firmware_model="ovmf-2025.02", profile="trixie", td=False)
    assert [name for name in names(result) if name in ("kernel", "initrd")] == ends_with
    assert result.booted == bool(ends_with)
