"""QEMU direct boot through OVMF: what it asks, in which order, and what each refusal looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.loaders.files import BootFiles
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB
from tests.loaders.made import KERNELS, names, start, where

Run = Callable[..., BootResult]
INITRD_38 = 40_723_557


def test_the_landing_that_was_recorded_on_inteltdx_with_2_gib_comes_out_to_the_byte(run: Run) -> None:
    result = run("direct", INITRD_38, td=False)
    lowest_blob = start(result, "initrd_file") & ~0xFFF
    assert (lowest_blob, start(result, "kernel_file") & ~0xFFF) == (0x79023000, 0x7B6FA000)
    assert start(result, "image") == 0x778A0000
    assert where(result, "image").end == 0x78430000
    assert start(result, "initrd") == 0x751C9000
    assert where(result, "initrd").end == 0x751C9000 + INITRD_38
    assert (start(result, "kernel"), where(result, "kernel").end) == (0x1000000, 0x4800000)
    free = [(entry.physical_start, entry.physical_end) for entry in result.memory_map if entry.memory_type == 7]
    assert any(low <= 0x78431000 and high >= 0x78F48000 for low, high in free)  # the file buffer's hole, 11.10 MiB


@pytest.mark.parametrize(
    ("size", "status", "stage"),
    [
        (100, SUCCESS, "exit_boot_services"),
        (300, EfiStatus.EFI_OUT_OF_RESOURCES, "load_initrd"),
        (360, EfiStatus.EFI_OUT_OF_RESOURCES, "load_kernel"),
        (424, EfiStatus.EFI_OUT_OF_RESOURCES, "load_image"),
        (435, EfiStatus.EFI_NOT_FOUND, "load_image"),
        (450, EfiStatus.EFI_OUT_OF_RESOURCES, "fetch_blobs"),
    ],
)
def test_a_growing_initrd_fails_at_ever_earlier_stages(run: Run, size: int, status: EfiStatus, stage: str) -> None:
    result = run("direct", size * MIB)
    assert (result.status, result.stage) == (status, stage)


def test_blobs_stay_and_the_file_buffer_goes(run: Run) -> None:
    result = run("direct", INITRD_38)
    assert names(result)[:3] == ["kernel_file", "initrd_file", "cmdline_file"]
    assert where(result, "file_buffer").freed
    assert not where(result, "image").freed


def test_where_a_blob_does_not_fit_all_blobs_are_given_back_and_no_volume_appears(run: Run) -> None:
    result = run("direct", 450 * MIB)
    assert names(result) == []
    assert result.failure is not None
    assert "450 MiB" in result.failure.why
    assert not any(record.service == "LoadImage" for record in result.machine.trace)


def test_an_exhausted_file_buffer_is_hidden_as_not_found(run: Run) -> None:
    result = run("direct", 435 * MIB)
    assert result.failure is not None
    assert "because its buffer for the kernel file found no room" in result.failure.why


@pytest.mark.parametrize(
    ("profile", "options"), [("upstream", "initrd=initrd nokaslr"), ("trixie", "nokaslr initrd=initrd")]
)
def test_the_initrd_option_stands_before_the_command_line_since_2025(run: Run, profile: str, options: str) -> None:
    result = run("direct", INITRD_38, profile=profile)
    assert [
        image.load_options
        for handle in range(1, 200)
        if (image := result.machine.services.images.loaded_image(handle)) is not None and image.load_options
    ] == [options]


def test_several_initrds_lie_one_behind_the_other_at_4_byte_steps(run: Run, opened: Callable[..., BootFiles]) -> None:
    files = opened("6.12-cloud", 1_000_003, 2_000_001, 600)
    assert [offset for offset, _ in files.initrd_pieces()] == [0, 1_000_004, 3_000_008]
    result = run("direct", 1_000_003, 2_000_001, 600)
    assert where(result, "initrd").size == files.initrd_size == 3_000_608


def test_a_file_that_is_no_efi_image_goes_to_firmwares_own_linux_loader(run: Run, made_without_pe: Path) -> None:
    result = run("direct", 8 * MIB, kernel=made_without_pe)
    assert result.booted
    assert "file_buffer" not in names(result)
    assert start(result, "kernel") % 0x400000 == 0


def test_boot_bytes_on_demand_bytes_and_bytes_left_are_the_ram(run: Run) -> None:
    for on_demand in ("none", "allocator", "loader-literal", "loader", "service"):
        for size in (38, 300, 424, 450):
            result = run("direct", size * MIB, on_demand=on_demand)
            assert result.boot_bytes + result.on_demand_bytes + result.left_to_os_bytes == 2 << 30


@pytest.mark.parametrize(
    ("firmware", "size", "memory", "stage"),
    [
        ("inteltdx", 0, "168M", "load_kernel"),
        ("inteltdx", 0, "172M", "exit_boot_services"),
        ("inteltdx", INITRD_38, "140M", "load_image"),
        ("inteltdx", INITRD_38, "144M", "load_kernel"),
        ("inteltdx", INITRD_38, "204M", "load_kernel"),
        ("inteltdx", INITRD_38, "208M", "load_initrd"),
        ("inteltdx", INITRD_38, "244M", "load_initrd"),
        ("inteltdx", INITRD_38, "248M", "exit_boot_services"),
        ("inteltdx", 300 * MIB, "380M", "fetch_blobs"),
        ("inteltdx", 300 * MIB, "384M", "load_image"),
        ("inteltdx", 300 * MIB, "408M", "load_kernel"),
        ("inteltdx", 300 * MIB, "472M", "load_initrd"),
        ("inteltdx", 300 * MIB, "768M", "load_initrd"),
        ("inteltdx", 300 * MIB, "772M", "exit_boot_services"),
        ("ovmf-2025.02", INITRD_38, "180M", "load_kernel"),
        ("ovmf-2025.02", INITRD_38, "184M", "load_initrd"),
        ("ovmf-2025.02", INITRD_38, "224M", "exit_boot_services"),
        ("ovmf-2025.02", 300 * MIB, "448M", "load_initrd"),
        ("ovmf-2025.02", 300 * MIB, "748M", "exit_boot_services"),
    ],
)
def test_the_ladders_that_were_run_stage_by_stage(run: Run, firmware: str, size: int, memory: str, stage: str) -> None:
    initrds = [size] if size else []
    assert run("direct", *initrds, memory=memory, firmware_model=firmware, td=False).stage == stage


def test_each_blob_has_a_record_of_its_own_in_front_of_it(run: Run) -> None:
    pools = [
        record.arguments["size"]
        for record in run("direct", INITRD_38).machine.trace
        if record.service == "AllocatePool" and record.caller == "QemuKernelLoaderFsDxe"
    ]
    assert pools[:4] == [
        120,
        KERNELS["6.12-cloud"].size,
        120,
        INITRD_38,
    ]  # sizeof (KERNEL_BLOB), edk2 2022.11 and later
