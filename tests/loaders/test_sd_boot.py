"""systemd-boot and systemd's stub: Type #1 entries, unified kernel images, three copies of an initrd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.errors import FormatError
from tdvfsh.loaders.sd_stub import uki_cmdline
from tdvfsh.trace.records import AllocatePagesCall
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB
from tests.formats.pe_builder import Section, build_pe
from tests.loaders.made import MadeImages, names, start, where

Run = Callable[..., BootResult]
INITRD_38 = 40_723_557
LOW_MEMORY_IN_PIECES = Path(__file__).parents[1] / "cases" / "maps" / "lowfrag.txt"
"""336 MiB in the largest piece below 4 GiB, 15 GiB above."""


@pytest.mark.parametrize(
    ("memory", "status", "stage"),
    [
        ("128M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_image"),
        ("160M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_image"),
        ("176M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_kernel"),
        ("192M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_kernel"),
        ("240M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_kernel"),
        ("256M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_initrd"),
        ("288M", EfiStatus.EFI_OUT_OF_RESOURCES, "load_initrd"),
        ("294M", SUCCESS, "exit_boot_services"),
    ],
)
def test_the_ladder_of_a_uki_that_was_run(
    run: Run, made: MadeImages, memory: str, status: EfiStatus, stage: str
) -> None:
    uki = made.uki("6.12-cloud", INITRD_38, "nokaslr quiet")
    result = run("sd-boot", kernel=uki, memory=memory, td=False, cmdline="")
    assert (result.status, result.stage) == (status, stage)


def test_a_uki_holds_its_initrd_three_times(run: Run, made: MadeImages) -> None:
    result = run("sd-boot", kernel=made.uki("6.12-cloud", INITRD_38, "nokaslr"), cmdline="", memory="2G")
    image, joined, initrd = (where(result, what) for what in ("image", "joined_initrd", "initrd"))
    assert image.size > INITRD_38
    assert joined.size >= INITRD_38
    assert initrd.size == INITRD_38 + 3  # padded to 4 bytes by the stub
    assert joined.start == image.end + 0xB2B000  # where the file's buffer was: recorded with 300 MiB


def test_the_joined_initrd_is_microcode_then_the_loaders_then_the_images_own(run: Run, made: MadeImages) -> None:
    uki = made.uki("6.12-cloud", 2 * MIB, "nokaslr", ucode_size=4097)
    result = run("sd-boot", 1_000_003, kernel=uki, cmdline="nokaslr")
    parts = [4100, 1_000_004, 2 * MIB]
    assert where(result, "initrd").size == sum(parts)
    contents = result.machine.services.contents
    base = start(result, "joined_initrd")
    marks = [contents.read(base + offset, 6) for offset in (0, parts[0], parts[0] + parts[1])]
    assert marks == [b"070701"] * 3


@pytest.mark.parametrize("loader", ["direct", "grub2.12", "grub2.12-debian", "chainloader", "sd-boot"])
def test_a_uki_is_a_kernel_to_every_loader_that_starts_efi_images(run: Run, made_uki: Path, loader: str) -> None:
    result = run(loader, kernel=made_uki, cmdline="")
    assert result.booted
    assert {"joined_initrd", "inner_image", "kernel", "initrd"} <= set(names(result))


def test_the_callers_command_line_replaces_the_images_own(run: Run, made: MadeImages) -> None:
    uki = made.uki("6.12-cloud", 8 * MIB, "nokaslr quiet")
    assert start(run("sd-boot", kernel=uki, cmdline=""), "kernel") == 16 * MIB
    assert start(run("sd-boot", kernel=uki, cmdline="quiet"), "kernel") != 16 * MIB


def test_a_command_line_of_blanks_is_none(made: MadeImages, made_uki: Path) -> None:
    with open_boot_files(made_uki) as opened:
        assert uki_cmdline(opened.boot.kernel, "  ") == "nokaslr quiet"
        assert uki_cmdline(opened.boot.kernel, " a=b ") == "a=b"


def test_a_stub_that_cannot_join_its_initrds_halts(run: Run, made: MadeImages) -> None:
    result = run("sd-boot", 100 * MIB, kernel=made.uki("6.12-cloud", 8 * MIB), memory="300M", td=False)
    assert (result.status, result.stage) == (EfiStatus.EFI_OUT_OF_RESOURCES, "load_initrd")
    assert any("assertion" in message for message in result.messages)


def test_each_cure_boots_a_uki_that_none_does_not(run: Run, made: MadeImages) -> None:
    uki = made.uki("6.12-cloud", 120 * MIB, "nokaslr")
    booted = {
        on_demand: run("sd-boot", kernel=uki, cmdline="", on_demand=on_demand).booted
        for on_demand in ("none", "allocator", "loader", "service")
    }
    assert booted == {"none": False, "allocator": True, "loader": True, "service": True}


def test_option_1_rescues_the_120_mib_uki_with_one_accept_of_128_mib(run: Run, made: MadeImages) -> None:
    uki = made.uki("6.12-cloud", 120 * MIB, "nokaslr")
    assert run("sd-boot", kernel=uki, cmdline="", on_demand="allocator").on_demand_bytes == 128 * MIB


@pytest.mark.parametrize(
    ("loader", "reads"),
    [
        ("sd-boot256", [(1_000_003, True), (1_000_603, False)]),
        ("sd-boot256.7", [(0xF5000, False)]),
        ("sd-boot", [(0xF5000, False)]),
        ("sd-boot262", [(0xF5000, False)]),
    ],
)
def test_a_type_1_entry_reads_initrds_and_offers_them_as_one(
    run: Run, loader: str, reads: list[tuple[int, bool]]
) -> None:
    result = run(loader, 1_000_003, 600)
    padding = 0 if loader == "sd-boot256" else 1
    assert where(result, "initrd").size == 1_000_603 + padding
    files = [placement for placement in result.placements if placement.what == "initrd_file"]
    assert [(placement.size, placement.freed) for placement in files] == reads


def test_initrds_that_do_not_fit_below_4_gib_go_above_since_257_5_and_halt_256_7(run: Run) -> None:
    """The calls of Debian's 257.13, run on the engine with the same map."""
    machine = {"map": str(LOW_MEMORY_IN_PIECES), "td": False}
    newest = run("sd-boot", 359 * MIB, **machine)
    calls = [
        (record.allocate_type, record.memory_type, record.pages, record.asked, record.succeeded)
        for record in newest.machine.trace
        if isinstance(record, AllocatePagesCall) and record.caller == "sd-boot"
    ]
    assert calls[:2] == [
        (EfiAllocateType.AllocateMaxAddress, EfiMemoryType.EfiLoaderData, 91904, (4 << 30) - 1, False),
        (EfiAllocateType.AllocateAnyPages, EfiMemoryType.EfiLoaderData, 91904, 0, True),
    ]
    assert start(newest, "initrd_file") > 4 << 30
    assert newest.booted
    halts = run("sd-boot256.7", 359 * MIB, **machine)
    assert (halts.status, halts.stage) == (EfiStatus.EFI_OUT_OF_RESOURCES, "load_initrd")
    assert any("halting" in message for message in halts.messages)
    assert run("sd-boot256", 359 * MIB, **machine).booted


@pytest.mark.parametrize(
    ("loader", "boots", "why"),
    [
        ("sd-boot", False, "asks for no pages"),
        ("sd-boot256.7", False, "asks for no pages"),
        ("sd-boot256", True, ""),
        ("sd-boot262", True, ""),
        ("direct", True, ""),
        ("grub2.12", False, "asks for no pages"),
    ],
)
def test_an_empty_initrd_is_what_each_loader_makes_of_it(
    run: Run, tmp_path: Path, loader: str, boots: bool, why: str
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    result = run(loader, empty)
    assert result.booted is boots
    assert not any(placement.size for placement in result.placements if placement.what == "initrd")
    assert why in (result.failure.why if result.failure is not None else "")


def test_the_first_of_two_initrds_is_padded_to_4_bytes(run: Run) -> None:
    """257.13 and 262.1 on the engine: 4093 bytes and one take two pages."""
    assert where(run("sd-boot", 4093, 320), "initrd").size == 4096 + 320


@pytest.mark.parametrize(
    ("loader", "order"),
    [("sd-boot", ["initrd_file", "image"]), ("sd-boot262", ["kernel_file", "image", "initrd_file"])],
)
def test_newer_ones_read_the_kernel_themselves_and_before_the_initrd(run: Run, loader: str, order: list[str]) -> None:
    """262.1 on the engine: a LoaderData pool of the file and two bytes, LoadImage from it, then the initrds' pages."""
    placed = [(entry.what, entry.freed) for entry in run(loader, INITRD_38).placements]
    assert [what for what, _ in placed if what in order] == order
    assert ("kernel_file", True) in placed or loader == "sd-boot"


def test_the_initrd_is_named_in_the_options_too_for_kernels_that_do_not_ask(run: Run) -> None:
    result = run("sd-boot", INITRD_38, kernel="4.19")
    assert where(result, "initrd").size == INITRD_38


def test_an_initrd_that_the_pool_cannot_hold_is_said_with_numbers(run: Run) -> None:
    result = run("sd-boot", 600 * MIB)
    assert (result.status, result.stage) == (EfiStatus.EFI_OUT_OF_RESOURCES, "load_initrd")
    assert result.failure is not None
    assert "600 MiB" in result.failure.why
    assert run("sd-boot", 600 * MIB, on_demand="service").booted


def test_a_uki_with_something_else_than_a_kernel_in_it_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "bad.efi"
    path.write_bytes(build_pe((Section(b".linux", 0x1000, 0x100, 0x400, 0x200, b"not a kernel"),)))
    with pytest.raises(FormatError, match="neither a Linux kernel nor an EFI image"), open_boot_files(path):
        pass


def test_a_uki_with_an_efi_program_for_a_kernel_is_unsupported_when_it_starts(run: Run, tmp_path: Path) -> None:
    inner = build_pe()
    path = tmp_path / "odd.efi"
    section = Section(b".linux", 0x1000, len(inner), 0x400, len(inner), inner)
    path.write_bytes(build_pe((section,), size=0x400 + len(inner), size_of_image=0x3000))
    result = run("sd-boot", kernel=path, cmdline="")
    assert (result.status, result.stage) == (EfiStatus.EFI_UNSUPPORTED, "load_kernel")


def test_its_images_lie_where_they_were_linked_to_above_4_gib_where_that_is_accepted(run: Run, made_uki: Path) -> None:
    eager = run("sd-boot", kernel=made_uki, memory="8G", accept="eager", cmdline="")
    lazy = run("sd-boot", kernel=made_uki, memory="8G", accept="below-4g", cmdline="")
    assert (start(eager, "sd-boot"), start(eager, "image")) == (0x101300000, 0x14DF90000)
    assert start(lazy, "sd-boot") < 4 << 30
    assert start(lazy, "image") < 4 << 30
    assert lazy.booted
