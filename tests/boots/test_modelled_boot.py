"""Real-sized files through the loaders: the outcomes that the design predicts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, TIB
from tests.boots.made_files import CLOUD_6_12, INSTALLER_INITRD, Opener

OUT_OF_RESOURCES = EfiStatus.EFI_OUT_OF_RESOURCES
NOT_FOUND = EfiStatus.EFI_NOT_FOUND


def _boot(
    opened: Opener, initrd: int, on_demand: str = "none", memory: int = 2 * GIB, accept: str = "512M", **more: object
) -> BootResult:
    options = TdOptions(memory=memory, accept=parse_boot_accept(accept), on_demand=on_demand, **more)  # type: ignore[arg-type]
    return boot(options, opened(initrd).boot)


def _where(result: BootResult, what: str) -> tuple[int, int]:
    placement = next(entry for entry in result.placements if entry.what == what and not entry.freed)
    return placement.start, placement.end


def test_the_landing_recorded_on_inteltdx_with_2_gib_comes_out_to_the_byte(opened: Opener) -> None:
    result = _boot(opened, INSTALLER_INITRD, td=False)  # recorded from a plain guest
    assert result.booted
    assert _where(result, "kernel_file")[0] == 0x7B6FA018
    assert _where(result, "initrd_file")[0] == 0x79023018
    assert _where(result, "image") == (0x778A0000, 0x78430000)
    assert _where(result, "kernel") == (0x1000000, 0x4800000)
    assert _where(result, "initrd") == (0x751C9000, 0x751C9000 + INSTALLER_INITRD)


@pytest.mark.parametrize("loader", ["direct", "grub2.12"])
@pytest.mark.parametrize(
    ("on_demand", "boots"), [("none", False), ("allocator", True), ("loader", True), ("service", True)]
)
def test_a_600_mib_initrd_boots_in_a_small_td_with_each_cure_and_fails_without(
    opened: Opener, loader: str, on_demand: str, boots: bool
) -> None:
    result = _boot(opened, 600 * MIB, on_demand, loader=loader)
    assert result.booted is boots
    assert (result.on_demand_bytes > 0) is boots
    if not boots:
        assert result.failure is not None
        assert result.failure.asked_bytes >= 600 * MIB
        assert "600 MiB" in result.failure.why


def test_option_2_to_the_letter_misses_a_blob_that_found_no_room(opened: Opener) -> None:
    result = _boot(opened, 600 * MIB, "loader-literal")
    assert (result.status, result.stage) == (OUT_OF_RESOURCES, "fetch_blobs")
    assert result.on_demand_bytes == 0


SCENARIOS = [
    # MiB of initrd, option, status, stage, MiB accepted on demand (None: not checked)
    (100, "none", EfiStatus.EFI_SUCCESS, "exit_boot_services", 0),
    (300, "none", OUT_OF_RESOURCES, "load_initrd", 0),
    (300, "allocator", EfiStatus.EFI_SUCCESS, "exit_boot_services", 320),
    (300, "service", EfiStatus.EFI_SUCCESS, "exit_boot_services", 300),
    (360, "none", OUT_OF_RESOURCES, "load_kernel", 0),
    (360, "allocator", OUT_OF_RESOURCES, "load_kernel", 0),
    (360, "service", EfiStatus.EFI_SUCCESS, "exit_boot_services", 416),
    (424, "none", OUT_OF_RESOURCES, "load_image", 0),
    (424, "allocator", OUT_OF_RESOURCES, "load_kernel", 32),
    (435, "none", NOT_FOUND, "load_image", 0),
    (435, "loader-literal", NOT_FOUND, "load_image", 0),
    (435, "allocator", OUT_OF_RESOURCES, "load_kernel", 32),
    (450, "none", OUT_OF_RESOURCES, "fetch_blobs", 0),
    (450, "allocator", EfiStatus.EFI_SUCCESS, "exit_boot_services", 960),
]


@pytest.mark.parametrize(("size", "on_demand", "status", "stage", "accepted"), SCENARIOS)
def test_the_scenarios_of_the_flow_study_end_as_predicted(
    opened: Opener, size: int, on_demand: str, status: EfiStatus, stage: str, accepted: int
) -> None:
    result = _boot(opened, size * MIB, on_demand)
    assert (result.status, result.stage) == (status, stage)
    assert result.on_demand_bytes == accepted * MIB


@pytest.mark.parametrize("on_demand", ON_DEMAND_NAMES)
@pytest.mark.parametrize("size", [0, 38, 300, 425, 700])
def test_accepted_bytes_and_bytes_left_to_the_os_are_the_ram(opened: Opener, on_demand: str, size: int) -> None:
    result = _boot(opened, size * MIB, on_demand, memory=3 * GIB)
    assert result.boot_bytes + result.on_demand_bytes + result.left_to_os_bytes == 3 * GIB


@pytest.mark.parametrize(("accept", "left"), [("eager", 0), ("below-4g", 4 * GIB)])
def test_upstream_policies_boot_a_6_gib_td_with_nothing_accepted_on_demand(
    opened: Opener, accept: str, left: int
) -> None:
    result = _boot(opened, INSTALLER_INITRD, memory=6 * GIB, accept=accept)
    assert result.booted
    assert (result.on_demand_bytes, result.left_to_os_bytes) == (0, left)


def test_the_image_is_exactly_size_of_image_long_and_the_kernel_lies_on_a_2_mib_slot_at_or_above_16_mib(
    opened: Opener,
) -> None:
    result = _boot(opened, INSTALLER_INITRD)
    start, end = _where(result, "image")
    assert end - start == CLOUD_6_12["size_of_image"]
    start, end = _where(result, "kernel")
    assert start >= 16 * MIB
    assert start % LARGE_PAGE_SIZE == 0
    assert end - start == 56 * MIB


def test_kaslr_moves_the_kernel_by_its_seed_and_nokaslr_does_not(opened: Opener) -> None:
    options = [
        TdOptions(memory=2 * GIB, accept=parse_boot_accept("eager"), kaslr_seed=seed) for seed in (1, 0x80000000)
    ]
    with_kaslr = [_where(boot(entry, opened(0, "quiet").boot), "kernel")[0] for entry in options]
    without = [_where(boot(entry, opened(0, "nokaslr").boot), "kernel")[0] for entry in options]
    assert with_kaslr[0] != with_kaslr[1]
    assert without == [16 * MIB, 16 * MIB]


def test_lazy_accept_can_make_a_boot_impossible_that_eager_accept_allows(opened: Opener) -> None:
    assert _boot(opened, 300 * MIB, memory=800 * MIB, accept="eager").booted
    for on_demand in ON_DEMAND_NAMES:
        assert not _boot(opened, 300 * MIB, on_demand, memory=800 * MIB).booted


def test_the_unaccepted_memory_table_is_installed_only_where_there_is_unaccepted_memory(opened: Opener) -> None:
    lazy = _boot(opened, INSTALLER_INITRD)
    start, end = _where(lazy, "unaccepted_table")
    assert end - start == 24 + 96  # 1536 MiB at 2 MiB a bit
    eager = _boot(opened, INSTALLER_INITRD, accept="eager")
    assert not [entry for entry in eager.placements if entry.what == "unaccepted_table"]


def test_after_exit_boot_services_no_service_answers(opened: Opener) -> None:
    services = _boot(opened, 0).machine.services
    assert services.allocate_pages(0, 2, 1, 0).status is EfiStatus.EFI_UNSUPPORTED
    assert services.accept_memory(GIB, 4096) is EfiStatus.EFI_UNSUPPORTED


def test_a_boot_in_64_tib_takes_as_many_steps_as_in_4_gib(opened: Opener) -> None:
    small = _boot(opened, GIB, "service", memory=4 * GIB)
    large = _boot(opened, GIB, "service", memory=64 * TIB)
    assert large.booted
    assert len(large.machine.trace) == len(small.machine.trace)


def test_a_boot_in_64_tib_with_a_1_gib_initrd_takes_well_under_a_second(opened: Opener, cloud_kernel: Path) -> None:
    files = opened(GIB).boot
    options = TdOptions(memory=64 * TIB, on_demand="service")
    boot(options, files)
    start = time.process_time()
    assert boot(options, files).booted
    assert time.process_time() - start < 0.5


def test_booting_twice_gives_the_same_placements_and_journal(opened: Opener) -> None:
    one, other = (_boot(opened, 300 * MIB, "loader") for _ in range(2))
    assert one.placements == other.placements
    assert [record.as_dict() for record in one.machine.trace] == [record.as_dict() for record in other.machine.trace]
