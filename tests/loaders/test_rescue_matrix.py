"""Which option helps which request: each row makes one request the first that fails, and tells who gets past it.

Options 1 and 2 to the letter cannot help a loader that reads the map and asks by address. Getting past a request is not
yet booting: what an accept leaves decides the next one.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.units import MIB
from tests.loaders.made import MadeImages, names

Run = Callable[..., BootResult]
OPTIONS = ("allocator", "loader-literal", "loader", "service")
STAGES = ("fetch_blobs", "load_image", "start_image", "load_kernel", "load_initrd", "exit_boot_services")


def past(run: Run, stage: str, *initrds: int, loader: str, **options: object) -> set[str]:
    """The options with which a boot that fails at ``stage`` without them gets beyond it."""
    assert run(loader, *initrds, **options).stage == stage
    ends = {name: run(loader, *initrds, on_demand=name, **options) for name in OPTIONS}
    return {name for name, result in ends.items() if result.booted or STAGES.index(result.stage) > STAGES.index(stage)}


def test_a_blob_in_the_pool(run: Run) -> None:
    assert past(run, "fetch_blobs", 450 * MIB, loader="direct") == {"allocator", "loader", "service"}


def test_load_images_file_buffer_which_is_hidden_as_not_found(run: Run) -> None:
    assert past(run, "load_image", 435 * MIB, loader="direct") == {"allocator", "loader", "service"}


def test_load_images_pages_the_case_that_option_2_was_written_for(run: Run) -> None:
    assert past(run, "load_image", 424 * MIB, loader="direct") == set(OPTIONS)


def test_the_stubs_kernel_buffer_by_address(run: Run) -> None:
    assert past(run, "load_kernel", 360 * MIB, loader="direct") == {"loader", "service"}


def test_the_stubs_initrd(run: Run) -> None:
    assert past(run, "load_initrd", 300 * MIB, loader="direct") == {"allocator", "loader", "service"}


def test_grubs_heap_by_address(run: Run) -> None:
    assert past(run, "start_image", loader="grub2.12", accept="80M") == {"loader", "service"}


def test_grubs_file_below_its_limit(run: Run) -> None:
    for on_demand, has_file in (("none", False), ("allocator", True), ("loader-literal", False), ("loader", True)):
        assert ("kernel_file" in names(run("grub2.12", accept="98M", on_demand=on_demand))) == has_file, on_demand
    assert run("grub2.12", accept="98M", on_demand="service").booted


def test_grubs_relocator_by_address(run: Run) -> None:
    assert past(run, "load_kernel", loader="grub2.06", accept="192M") == {"loader", "service"}


@pytest.mark.parametrize(
    ("on_demand", "has_initrd"), [("allocator", False), ("loader-literal", False), ("service", True)]
)
def test_a_verifiers_block_in_grubs_heap(run: Run, on_demand: str, has_initrd: bool) -> None:
    assert ("initrd" in names(run("grub2.06", 90 * MIB, on_demand=on_demand))) == has_initrd


def test_red_hats_kernel_whose_second_try_asks(run: Run) -> None:
    for on_demand, placed in (("none", False), ("allocator", True), ("loader-literal", False), ("loader", True)):
        result = run("grub-rh", accept="146M", on_demand=on_demand)
        assert ("handover_kernel" in names(result)) == placed, on_demand
    assert run("grub-rh", accept="146M", on_demand="service").booted


def test_systemds_joined_buffer_halts_so_only_those_who_act_before_it_help(run: Run, made: MadeImages) -> None:
    uki = made.uki("6.12-cloud", 8 * MIB)
    assert past(run, "load_initrd", 100 * MIB, loader="sd-boot", kernel=uki, accept="230M") == {"service"}


def test_firmwares_own_loader_on_its_grid(run: Run) -> None:
    assert past(run, "load_kernel", 380 * MIB, loader="direct-legacy") == {"loader", "service"}


def test_option_1_works_for_small_and_for_huge_initrds_and_fails_between(run: Run) -> None:
    sizes = (300, 353, 355, 400, 440, 442, 450)
    boots = [size for size in sizes if run("direct", size * MIB, on_demand="allocator").booted]
    assert boots == [300, 353, 442, 450]


def test_laziness_can_cost_a_boot_that_eager_accept_has(run: Run) -> None:
    assert run("direct", 300 * MIB, memory="800M", accept="eager").booted
    for on_demand in OPTIONS:
        assert not run("direct", 300 * MIB, memory="800M", on_demand=on_demand).booted, on_demand
