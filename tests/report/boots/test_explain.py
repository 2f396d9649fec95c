"""What the explanation of a boot says, and that its numbers are the boot's own."""

from __future__ import annotations

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.accept.on_demand import ON_DEMAND_NAMES
from tdvfsh.boots.asked_steps import asked_steps
from tdvfsh.boots.explanation import explain
from tdvfsh.boots.ladder import least_accept
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.machine import TdOptions
from tdvfsh.report.boots.explain import explain_lines
from tdvfsh.units import GIB, MIB, human_size
from tests.boots.made_files import Opener


def _boot(opened: Opener, initrd: int, memory: int = 2 * GIB, accept: str = "512M", **more: object) -> BootResult:
    options = TdOptions(memory=memory, accept=parse_boot_accept(accept), **more)  # type: ignore[arg-type]
    return boot(options, opened(initrd * MIB).boot)


def _text(result: BootResult) -> str:
    return " ".join(" ".join(explain_lines(explain(result))).split())


def _option(result: BootResult, name: str) -> str:
    """What is said of one option."""
    lines = explain_lines(explain(result))
    told: dict[str, str] = {}
    current = ""
    for line in lines[lines.index("The same boot under each option:") + 1 :]:
        current = line[2:17].strip() or current
        told[current] = f"{told.get(current, '')} {line[17:]}".strip()
    assert set(told) == set(ON_DEMAND_NAMES)
    return told[name]


def test_every_large_request_is_listed_with_its_call_its_limit_and_its_place(opened: Opener) -> None:
    steps = {step.what: step for step in asked_steps(_boot(opened, 38, loader="grub2.12"))}
    assert steps["kernel_file"].call == "AllocatePages below 4 GiB"
    assert steps["heap"].call == "AllocatePages at an address of its own choice"
    assert steps["image"].call == "AllocatePages, anywhere"
    direct = {step.what: step for step in asked_steps(_boot(opened, 38))}
    assert direct["initrd_file"].call == "AllocatePool, anywhere"
    assert direct["kernel"].start == 16 * MIB
    assert direct["file_buffer"].freed


def test_an_explanation_tells_what_no_option_saves_where_dma_costs_more_than_accepting_at_boot(opened: Opener) -> None:
    result = _boot(opened, 38, profile="lazy-v2", cost="kvm-2m")
    assert f"{result.dma_pages:,} pages of 4 KiB were shared for DMA" in _text(result)
    assert "no option below saves any of it" in _text(result)
    assert "no option below saves" not in _text(_boot(opened, 38))


def test_a_request_that_failed_is_told_with_the_largest_hole_and_what_it_lacks(opened: Opener) -> None:
    result = _boot(opened, 360)
    failure = result.failure
    assert failure is not None
    text = _text(result)
    assert f"wanted GetMemoryMap: 56 MiB ({56 * MIB:#x} bytes) in one piece" in text
    lacking = human_size(failure.asked_bytes - failure.largest_free_bytes)
    assert f"could have used is {human_size(failure.largest_free_bytes)}: {lacking} too small" in text


def test_accepting_would_have_helped_where_an_unaccepted_piece_is_large_enough(opened: Opener) -> None:
    text = _text(_boot(opened, 360))
    assert "accepting would have made room for this request: the largest unaccepted piece is 1.50 GiB at 0x2" in text


def test_accepting_would_not_have_helped_where_laziness_split_the_memory(opened: Opener) -> None:
    result = _boot(opened, 300, memory=800 * MIB)
    text = _text(result)
    assert "accepting would not have made room for this request, not even all 288 MiB" in text
    assert "never joins memory accepted at boot" in text
    assert "none boots" not in text


def test_nothing_left_to_accept_is_said(opened: Opener) -> None:
    assert "nothing is left to accept" in _text(_boot(opened, 800, memory=GIB, accept="eager"))


@pytest.mark.parametrize("initrd", [38, 300, 360])
def test_the_smallest_boot_time_accept_is_the_ladders(opened: Opener, initrd: int) -> None:
    result = _boot(opened, initrd, on_demand="service")
    least = least_accept(TdOptions(memory=2 * GIB), result.files)
    assert least is not None
    assert f"it boots from --accept {least // MIB}M on" in _text(result)


def test_no_boot_time_accept_is_enough_where_memory_itself_is_too_small(opened: Opener) -> None:
    assert "no --accept makes it boot in 800 MiB of RAM" in _text(_boot(opened, 500, memory=800 * MIB))


REASONS = [
    (300, "none", "OUT_OF_RESOURCES at load_initrd: nothing accepts memory after boot, and 300 MiB do not fit"),
    (300, "allocator", "boots, 320 MiB on demand in modelled"),
    (300, "loader-literal", "LoadImage had no trouble, and load_initrd is nothing it looks at"),
    (300, "service", "called AcceptMemory() before it asked; firmware accepted once"),
    (360, "allocator", "the allocator is never asked: the loader looks for a place in the memory map itself"),
    (360, "loader", "boots, 416 MiB on demand"),
    (424, "loader-literal", "OUT_OF_RESOURCES it accepts for the image only, and load_kernel fails next"),
    (435, "loader-literal", "LoadImage said NOT_FOUND, which hides that memory ran out; it waits for OUT_OF_RESOURCES"),
    (435, "allocator", "32 MiB got it that far, but the allocator is never asked"),
    (450, "loader-literal", "LoadImage, the one call it watches, is not reached: fetch_blobs fails before"),
    (450, "allocator", "the allocator, about to say OUT_OF_RESOURCES, accepted twice instead, in multiples of 32 MiB"),
]


@pytest.mark.parametrize(("initrd", "option", "reason"), REASONS)
def test_each_option_is_told_with_what_it_did_or_could_not_do(
    opened: Opener, initrd: int, option: str, reason: str
) -> None:
    assert reason in _option(_boot(opened, initrd), option)


def test_a_failure_that_is_no_lack_of_memory_is_not_blamed_on_memory(opened: Opener) -> None:
    result = _boot(opened, 38, fault=("LoadImage:1=SECURITY_VIOLATION",))
    assert "is nothing that memory cures" in _option(result, "service")


def test_a_boot_without_its_initrd_is_not_called_a_success(opened: Opener) -> None:
    result = _boot(opened, 90, loader="grub2.06")
    assert result.booted
    assert result.lacks_initrd
    text = _text(result)
    assert "it boots, but without its initrd" in text
    assert _option(result, "none").startswith("boots without its initrd")
    assert not _boot(opened, 38, loader="grub2.06").lacks_initrd


def test_firmware_that_accepted_at_exit_is_named(opened: Opener) -> None:
    result = _boot(opened, 38, accept_at_exit="unless-objected", loader="grub2.06")
    assert result.left_to_os_bytes == 0
    assert "firmware accepted the rest only at ExitBootServices" in _option(result, "none")


def test_a_plain_vm_has_no_options(opened: Opener) -> None:
    text = _text(_boot(opened, 38, td=False))
    assert "it boots" in text
    assert "under each option" not in text


def test_no_line_is_wider_than_a_screen_of_100(opened: Opener) -> None:
    for initrd in (38, 300, 360, 435, 450):
        assert max(len(line) for line in explain_lines(explain(_boot(opened, initrd)))) <= 100


@pytest.mark.parametrize(("measurement", "told"), [("auto", "(CC measurement)"), ("tpm", "(a TPM)"), ("none", "")])
def test_what_a_verifier_of_grub_keeps_is_said(opened: Opener, measurement: str, told: str) -> None:
    text = _text(_boot(opened, 64, loader="grub2.14", measurement=measurement))
    assert (f"measured GRUB measures each file that it opens {told}" in text) is bool(told)
    assert ("64.01 MiB beyond what the heap had" in text) is bool(told)
