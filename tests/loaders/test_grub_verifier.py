"""GRUB with a verifier: TPM or CC measurement keep each file whole in its heap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.units import MIB
from tests.loaders.made import names, where

Run = Callable[..., BootResult]


def heap_bytes(result: BootResult) -> int:
    return sum(placement.size for placement in result.placements if placement.what in ("heap", "measured_file"))


@pytest.mark.parametrize(
    ("loader", "td", "measurement", "whole"),
    [
        ("grub2.12", True, "auto", False),  # 2.12 asks for a TPM
        ("grub2.12", True, "tpm", True),
        ("grub2.12", False, "tpm", True),
        ("grub2.14", True, "auto", True),  # CC measurement will do, and a TD has it
        ("grub2.14-debian", True, "auto", True),
        ("grub2.14", True, "none", False),
        ("grub2.14", False, "auto", False),
        ("grub-rh", True, "auto", False),
        ("grub-rh", True, "tpm", True),
    ],
)
def test_a_verifier_keeps_the_whole_initrd_once_more(
    run: Run, loader: str, td: bool, measurement: str, whole: bool
) -> None:
    """rhboot/grub2 86df79275 made CC measurement count; 30708dfe3 made the verifier depend on a TPM."""
    initrd = 100 * MIB
    result = run(loader, initrd, memory="2G", accept="2G", td=td, measurement=measurement)
    assert result.booted
    assert not result.lacks_initrd
    assert (heap_bytes(result) > 32 * MIB + initrd) is whole


def test_a_small_initrd_fits_into_the_heap_that_stands(run: Run) -> None:
    """The kernel's block is free again when the initrd is read."""
    assert names(run("grub2.14", 8 * MIB, accept="1G")).count("heap") == 1


@pytest.mark.parametrize(
    ("size", "ends"), [(150, "boots"), (200, "load_initrd"), (330, "load_kernel"), (420, "without its initrd")]
)
def test_the_ladder_of_a_td_with_512_mib_accepted(run: Run, size: int, ends: str) -> None:
    """Limits of about 170, 330 and 405 MiB; the first two are the kernel stub's, the last the heap's."""
    result = run("grub2.14", size * MIB)
    told = "boots" if result.booted else result.stage
    assert ends == ("without its initrd" if result.lacks_initrd else told)


def test_an_initrd_that_the_heap_cannot_hold_is_said_with_the_verifiers_name(run: Run) -> None:
    result = run("grub2.14", 420 * MIB)
    assert result.lacks_initrd
    assert result.messages[0] == "error: out of memory."
    assert "its verifier (CC measurement) wants the file whole" in result.messages[1]
    assert not run("grub2.14", 420 * MIB, measurement="none").lacks_initrd


def test_accepting_before_the_command_helps_where_the_allocator_is_never_asked(run: Run) -> None:
    lacks = {
        on_demand: run("grub2.14", 420 * MIB, on_demand=on_demand).lacks_initrd
        for on_demand in ("none", "allocator", "service", "loader")
    }
    assert lacks == {"none": True, "allocator": True, "service": False, "loader": False}


def test_several_initrds_are_held_together(run: Run) -> None:
    one = heap_bytes(run("grub2.14", 40 * MIB, accept="1G"))
    two = heap_bytes(run("grub2.14", 40 * MIB, 40 * MIB, accept="1G"))
    assert 40 * MIB <= two - one <= 42 * MIB


def test_a_chainloaded_image_is_read_whole_first(run: Run, made_uki_of_40_mib: Path) -> None:
    plain = run("chainloader", kernel=made_uki_of_40_mib, cmdline="", accept="1G")
    measured = run("chainloader", kernel=made_uki_of_40_mib, cmdline="", accept="1G", measurement="tpm")
    assert heap_bytes(measured) >= heap_bytes(plain) + 40 * MIB
    assert where(measured, "image").size == where(plain, "image").size
