"""GRUB 2.12: heap, file, image, growth, and what it says when one of them does not fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.loaders.grub_memory import GRUB_2_12, Grub
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, MIB, pages_for
from tests.loaders.made import names, start, where

Run = Callable[..., BootResult]
INITRD_38 = 40_723_557


def test_the_landing_that_was_recorded_with_512_mib_comes_out_to_the_byte(run: Run) -> None:
    result = run("grub2.12-debian", INITRD_38, memory="512M", td=False)
    assert (start(result, "grub"), next(p.start for p in result.placements if p.what == "heap")) == (
        0x1B7BD000,
        0x197BD000,
    )
    assert (start(result, "kernel_file"), start(result, "image")) == (0x18C92000, 0x18102000)
    assert (start(result, "kernel"), start(result, "initrd")) == (0x1000000, 0x15A2B000)


@pytest.mark.parametrize(("size", "pieces"), [(14_402_992, 1), (INITRD_38, 5), (137_418_752, 5)])
def test_the_heap_grows_by_as_much_as_the_disk_cache_takes_and_no_more(run: Run, size: int, pieces: int) -> None:
    result = run("grub2.12", size, accept="1G")
    assert names(result).count("heap") == pieces


def test_the_heap_grows_into_whatever_is_left_even_below_the_kernel(run: Run) -> None:
    result = run("grub2.12-debian", INITRD_38, memory="240M", td=False)
    heaps = [placement for placement in result.placements if placement.what == "heap"]
    assert result.booted
    assert all(placement.end <= 16 * MIB for placement in heaps[1:])


def test_a_heap_that_cannot_grow_harms_nobody(opened: Callable[..., BootFiles]) -> None:
    machine = Machine(TdOptions(memory=512 * MIB, loader="grub2.12", td=False))
    flow = BootFlow(machine.services, machine.on_demand, opened(), machine.firmware_image, machine.stage.calls)
    grub = Grub(flow, GRUB_2_12)
    assert grub.start() is SUCCESS
    grub.read_file(64 * MIB)
    for low, high in list(machine.services.core.memory_map.free_ranges()):
        if low:
            machine.services.allocate_pages(EfiAllocateType.AllocateAddress, 2, pages_for(high - low), low)
    before = len(flow.placements)
    grub.grow()
    assert len(flow.placements) == before


@pytest.mark.parametrize(
    ("memory", "status", "stage"),
    [
        ("128M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_image"),
        ("144M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_kernel"),
        ("192M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_kernel"),
        ("208M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_initrd"),
        ("224M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_initrd"),
        ("240M", SUCCESS, "exit_boot_services"),
    ],
)
def test_the_ladder_that_was_run(run: Run, memory: str, status: EfiStatus, stage: str) -> None:
    result = run("grub2.12-debian", INITRD_38, memory=memory, td=False)
    assert (result.status, result.stage) == (status, stage)


def test_the_heap_comes_from_the_top_of_the_largest_piece_below_4_gib(run: Run) -> None:
    result = run("grub2.12", INITRD_38, memory="8G", td=False)
    heap = next(placement for placement in result.placements if placement.what == "heap")
    assert heap.end <= 4 * GIB
    assert heap.memory_type is EfiMemoryType.EfiLoaderCode
    assert heap.size == 32 * MIB


def test_an_initrd_of_300_mib_fits_where_direct_boot_has_no_room_for_its_second_copy(run: Run) -> None:
    assert run("grub2.12", 300 * MIB).booted
    assert not run("direct", 300 * MIB).booted


def test_an_initrd_of_400_mib_is_rescued_by_option_1(run: Run) -> None:
    assert run("grub2.12", 400 * MIB).stage == "load_initrd"
    result = run("grub2.12", 400 * MIB, on_demand="allocator")
    assert (start(result, "initrd"), where(result, "initrd").end) == (0x21000000, 0x3A000000)
    assert result.on_demand_bytes == 416 * MIB


def test_memory_above_4_gib_is_of_no_use_to_grubs_own_requests(run: Run) -> None:
    result = run("grub2.12", memory="8G", accept="128M", on_demand="allocator")
    placed = [placement for placement in result.placements if placement.what in ("heap", "kernel_file", "cmdline")]
    assert placed
    assert all(placement.end <= 4 * GIB for placement in placed)


@pytest.mark.parametrize(("loader", "text"), [("grub2.12-debian", "image not loaded"), ("grub2.12", "start_image()")])
def test_each_build_says_it_in_its_own_words_when_the_kernel_comes_back(run: Run, loader: str, text: str) -> None:
    assert any(text in message for message in run(loader, 400 * MIB).messages)


def test_only_upstream_grub_uses_firmwares_load_image_for_the_kernel(run: Run) -> None:
    for loader, calls in (("grub2.12", 1), ("grub2.12-debian", 0)):
        result = run(loader, INITRD_38)
        assert sum(record.service == "LoadImage" for record in result.machine.trace) == calls, loader


def test_a_kernel_that_does_not_ask_for_its_initrd_goes_the_older_way(run: Run) -> None:
    result = run("grub2.12", INITRD_38, kernel="4.19", td=False)
    assert result.booted
    assert "image" not in names(result)
    assert "kernel_source" in names(result)


def test_each_initrd_is_padded_to_4_bytes(run: Run, opened: Callable[..., BootFiles]) -> None:
    assert where(run("grub2.12", 1_000_003, 600), "initrd").size == 1_000_604


def test_options_2_and_3_boot_what_none_can_not(run: Run) -> None:
    for on_demand in ("loader", "service", "allocator"):
        assert run("grub2.12", 600 * MIB, on_demand=on_demand).booted, on_demand
    assert not run("grub2.12", 600 * MIB).booted
    assert not run("grub2.12", 600 * MIB, on_demand="loader-literal").booted


def test_chainloader_gives_its_file_buffer_back_and_the_kernel_reads_its_initrd_from_the_disk(run: Run) -> None:
    result = run("chainloader", INITRD_38)
    assert result.booted
    assert where(result, "kernel_file").freed
    assert where(result, "kernel_file").memory_type is EfiMemoryType.EfiLoaderCode
    assert where(result, "initrd").size == INITRD_38
    assert not any(record.caller == "grub" and record.service == "LoadFile2" for record in result.machine.trace)


def test_chainloader_joins_initrds_without_padding_as_the_stub_reads_them(run: Run) -> None:
    assert where(run("chainloader", 1_000_003, 600), "initrd").size == 1_000_603


def test_chainloader_says_out_of_resources(run: Run) -> None:
    result = run("chainloader", memory="128M", td=False)
    assert result.stage == "load_image"
    assert result.failure is not None
    assert "out of resources" in result.failure.why
