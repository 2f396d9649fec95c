"""The EFI stub by generation: where the kernel goes, where the initrd comes from, what is lost, what hangs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.dxe.memory_services import MemoryMapResult
from tdvfsh.loaders.stub_kernel import choose_slot
from tdvfsh.trace.records import AllocatePoolCall, FreePoolCall
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, MIB, align_up
from tests.loaders.made import KERNELS, MadeImages, names, start, where

Run = Callable[..., BootResult]
INITRD_38 = 40_723_557
SLOT = 2 * MIB


def memory_map(*pieces: tuple[int, int]) -> MemoryMapResult:
    """A map of Conventional pieces ``(start, end)`` in MiB."""
    entries = tuple(
        MemoryDescriptor(EfiMemoryType.EfiConventionalMemory, low * MIB, (high - low) * 256, 0xF)
        for low, high in pieces
    )
    return MemoryMapResult(SUCCESS, 0, entries, 1, 48, 1)


@pytest.mark.parametrize(("kernel", "mib"), [("6.12-cloud", 56), ("6.12", 56), ("6.1", 64), ("6.18-cloud", 58)])
def test_the_buffer_is_what_the_payload_unpacks_to_and_not_init_size(run: Run, kernel: str, mib: int) -> None:
    assert where(run("direct", kernel=kernel), "kernel").size == mib * MIB
    assert KERNELS["6.18-cloud"].init_size > 58 * MIB


def test_without_kaslr_the_lowest_slot_at_or_above_16_mib_is_taken(run: Run) -> None:
    for option in ("nokaslr", "mem=4G", "memmap=1M@0", "quiet nokaslr"):
        assert start(run("direct", cmdline=option), "kernel") == 16 * MIB, option
    assert start(run("direct", cmdline="nokaslr", firmware_model="ovmf-2025.02"), "kernel") == 24 * MIB


def test_the_seed_alone_decides_the_slot(run: Run) -> None:
    seeds = (0, 1 << 31, (1 << 32) - 1)
    places = [start(run("direct", cmdline="", kaslr_seed=seed), "kernel") for seed in seeds]
    assert places == sorted(set(places))
    assert places[0] == 16 * MIB
    assert places == [start(run("direct", cmdline="", kaslr_seed=seed), "kernel") for seed in seeds]


@given(
    pieces=st.lists(st.tuples(st.integers(0, 4096), st.integers(1, 512)), min_size=1, max_size=6),
    size=st.integers(1, 128),
    seed=st.integers(0, (1 << 32) - 1),
)
def test_every_slot_has_the_same_share_of_the_seeds(pieces: list[tuple[int, int]], size: int, seed: int) -> None:
    laid: list[tuple[int, int]] = []
    for low, length in pieces:
        begin = max(low, laid[-1][1] if laid else 0)
        laid.append((begin, begin + length))
    slots = [at * MIB for low, high in laid for at in range(align_up(max(low, 16), 2), high - size + 1, 2)]
    chosen = choose_slot(memory_map(*laid), size * MIB, seed)
    assert chosen == (slots[seed * len(slots) >> 32] if slots else None)


def test_no_slot_means_that_nothing_is_asked_of_the_allocator(run: Run) -> None:
    result = run("direct", 360 * MIB, on_demand="allocator")
    assert (result.status, result.stage) == (EfiStatus.EFI_OUT_OF_RESOURCES, "load_kernel")
    assert result.on_demand_bytes == 0
    by_address = [
        record
        for record in result.machine.trace
        if record.caller == "stub" and record.arguments.get("allocate_type") == "AllocateAddress"
    ]
    assert by_address == []
    assert result.messages[0] == "EFI stub: ERROR: Failed to decompress kernel"


def test_the_stub_leaves_what_it_had_when_it_fails(run: Run) -> None:
    result = run("direct", 300 * MIB)
    assert {"boot_params", "trampoline", "kernel"} <= set(names(result))
    assert where(result, "image").freed


def test_the_stub_of_6_1_hangs_where_newer_ones_return(run: Run) -> None:
    old = run("direct", 400 * MIB, kernel="6.1", on_demand="loader")
    new = run("direct", 400 * MIB, kernel="6.12", on_demand="loader")
    assert not old.booted
    assert any("#UD" in message for message in old.messages)
    assert new.booted


def test_an_older_stub_moves_to_pref_address(run: Run) -> None:
    kernel = where(run("direct", INITRD_38, kernel="5.10"), "kernel")
    assert (kernel.start, kernel.size) == (0x1000000, 0x2A00000)
    assert kernel.memory_type is EfiMemoryType.EfiLoaderData


def test_an_older_stub_that_cannot_have_pref_address_takes_the_lowest_fit_above_16_mib(run: Run) -> None:
    result = run("direct", INITRD_38, kernel="5.10", firmware_model="ovmf-2025.02")
    assert start(result, "kernel") == 24 * MIB


def test_an_older_image_with_room_for_init_size_stays_where_it_is(run: Run) -> None:
    result = run("direct", kernel="5.10-in-place")
    image, kernel = where(result, "image"), where(result, "kernel")
    assert image.start <= kernel.start
    assert kernel.end <= image.end
    assert kernel.start % (2 * MIB) == 0


def test_an_older_stub_without_any_place_says_not_found(run: Run) -> None:
    result = run("direct", 400 * MIB, kernel="5.10", on_demand="allocator")
    assert (result.status, result.stage) == (EfiStatus.EFI_NOT_FOUND, "load_kernel")
    assert "EFI stub: ERROR: efi_relocate_kernel() failed!" in result.messages


def test_kaslr_is_not_the_older_stubs_business(run: Run) -> None:
    assert start(run("direct", kernel="5.10", cmdline="", kaslr_seed=1 << 31), "kernel") == 0x1000000


def test_a_stub_from_before_load_file_2_reads_the_file_that_initrd_names(run: Run) -> None:
    result = run("direct", INITRD_38, kernel="4.19")
    assert where(result, "initrd").size == INITRD_38
    assert where(result, "initrd").end <= 0x80000000  # initrd_addr_max of its header


def test_an_initrd_option_that_names_no_file_ends_the_boot(run: Run) -> None:
    result = run("chainloader", kernel="6.12-cloud", cmdline="nokaslr initrd=\\nothing.img")
    assert (result.status, result.stage) == (EfiStatus.EFI_NOT_FOUND, "load_initrd")
    assert result.failure is not None
    assert "nothing.img" in result.failure.why


def test_load_file_2_comes_before_the_option(run: Run) -> None:
    assert run("direct", INITRD_38, cmdline="nokaslr initrd=\\nothing.img").booted


@pytest.mark.parametrize(("kernel", "lost"), [("6.12-cloud", 0), ("6.1", 4 * GIB), ("5.10", 4 * GIB)])
def test_a_kernel_that_does_not_know_unaccepted_memory_loses_it(run: Run, kernel: str, lost: int) -> None:
    result = run("direct", INITRD_38, kernel=kernel, memory="6G", accept="below-4g")
    assert result.booted
    assert result.lost_bytes == lost
    assert result.left_to_os_bytes == 4 * GIB
    assert any("lost" in message for message in result.messages) == bool(lost)


def test_the_unaccepted_table_is_sized_by_the_span_of_what_is_unaccepted(run: Run) -> None:
    assert where(run("direct", memory="2G"), "unaccepted_table").size == 24 + 96
    assert where(run("direct", memory="66G", accept="below-4g"), "unaccepted_table").size == 24 + 4096
    assert "unaccepted_table" not in names(run("direct", memory="2G", accept="eager"))


def test_more_descriptors_than_boot_params_holds_need_setup_data(run: Run) -> None:
    assert "setup_data" in names(run("direct", INITRD_38, firmware_model="ovmf-2025.02", memory="2G"))


def test_a_uki_inside_is_entered_with_its_own_version_and_sizes(run: Run, made: MadeImages) -> None:
    result = run("direct", kernel=made.uki("6.1", 8 * MIB, "nokaslr"), cmdline="")
    assert where(result, "kernel").size == 64 * MIB


def test_two_boots_make_the_same_journal(run: Run, tmp_path: Path) -> None:
    first, second = (
        [record.as_dict() for record in run("direct", INITRD_38, cmdline="").machine.trace] for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(("profile", "seeds"), [("bookworm", 0), ("trixie", 1), ("sid", 1)])
def test_a_firmware_without_an_rng_protocol_gives_no_random_seed(run: Run, profile: str, seeds: int) -> None:
    result = run("direct", profile=profile)
    pools = [record for record in result.machine.trace if isinstance(record, AllocatePoolCall)]
    assert sum(record.size == 0x24 and record.caller == "stub" for record in pools) == seeds


@pytest.mark.parametrize("kernel", ["6.1", "6.12-cloud", "6.18-cloud"])
def test_every_pool_that_is_freed_was_allocated_in_the_journal(run: Run, kernel: str) -> None:
    result = run("direct", 1_000_000, kernel=kernel)
    given: set[int] = set()
    for record in result.machine.trace.records:
        if isinstance(record, AllocatePoolCall) and record.buffer:
            given.add(record.buffer)
        elif isinstance(record, FreePoolCall):
            assert record.buffer in given
