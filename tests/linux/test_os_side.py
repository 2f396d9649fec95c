"""What Linux accepts after boot, by the arithmetic of its sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.images.make import make_kernel
from tdvfsh.linux.os_counts import early_count
from tdvfsh.linux.os_side import OsAccept, OsSide, os_side
from tdvfsh.loaders.files import InitrdFile
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB, MIB, PAGE_SIZE
from tests.boots.made_files import CLOUD_6_12, Opener

MADE = "6.12.0-tdvfsh"


def _boot(
    opened: Opener, cmdline: str = "nokaslr", accept: str = "below-4g", unpacked: int = 0, **more: object
) -> BootResult:
    options = TdOptions(accept=parse_boot_accept(accept), **{"memory": 66 * GIB, **more})  # type: ignore[arg-type]
    files = opened(0, cmdline).boot
    packed = InitrdFile("initrd", memoryview(b""), unpacked)  # takes no memory itself
    return boot(options, replace(files, initrds=(packed,)) if unpacked else files)


def _side(opened: Opener, unpacked: int = 0, **more: object) -> OsSide:
    side = _boot(opened, unpacked=unpacked, **more).os_side  # type: ignore[arg-type]
    assert side is not None
    return side


def _step(side: OsSide, who: str) -> OsAccept:
    return next(step for step in side.steps if step.who == who)


def test_memblock_takes_the_highest_memory_and_bounce_buffers_below_4_gib(opened: Opener) -> None:
    struct_pages, small, tables, slots = 66 * GIB // 64, 3 * 2 * MIB, (64 + 32) * MIB, 12 * MIB
    step = _step(_side(opened), "memblock")
    assert step.accepted_bytes == struct_pages + small + tables + slots
    assert (step.pages_4k, step.pages_2m) == (step.accepted_bytes // PAGE_SIZE, 0)
    less = _step(_side(opened, accept="512M"), "memblock")
    assert less.accepted_bytes == step.accepted_bytes + GIB


def test_ends_of_free_memory_that_are_no_whole_block_are_accepted_at_once(opened: Opener) -> None:
    assert _step(_side(opened, memory=GIB, accept="512M"), "eager").accepted_bytes == 2 * MIB
    assert _step(_side(opened, memory=2 * GIB, accept="512M"), "eager").accepted_bytes == 0


def test_a_kernel_that_is_told_to_use_four_levels_takes_less(opened: Opener) -> None:
    five = _step(_side(opened, memory=2 * GIB, accept="512M"), "memblock")
    four = _step(_side(opened, memory=2 * GIB, accept="512M", cmdline="nokaslr no5lvl"), "memblock")
    assert five.accepted_bytes - four.accepted_bytes == 2 * MIB


def test_the_first_section_of_the_highest_zone_goes_to_the_first_requests(opened: Opener) -> None:
    """32 blocks of 4 MiB from 4 GiB on beside those that are counted, and one of DMA32 with the unit after it."""
    step = _step(_side(opened, memory=8 * GIB, accept="512M"), "page allocator")
    requests = early_count(MADE).blocks(8 * 8)
    assert step.accepted_bytes == (32 + requests) * 4 * MIB + 2 * 2 * MIB


def test_with_all_below_4_gib_accepted_only_the_highest_zone_has_blocks_to_take(opened: Opener) -> None:
    step = _step(_side(opened, memory=8 * GIB, accept="below-4g"), "page allocator")
    assert step.accepted_bytes == (32 + early_count(MADE).blocks(8 * 8) - 1) * 4 * MIB + 2 * MIB


def test_the_count_is_said_to_be_counted_and_on_which_kernel(opened: Opener) -> None:
    step = _step(_side(opened, memory=2 * GIB, accept="512M"), "page allocator")
    assert step.why == "87 blocks in early boot, as counted on 6.12.107+deb13-amd64"


def test_a_small_td_has_nothing_left_after_early_boot(opened: Opener) -> None:
    side = _side(opened, memory=512 * MIB, accept="256M")
    assert (side.left_bytes, side.accepted_bytes) == (0, 256 * MIB)


def test_stub_and_decompressor_have_nothing_to_do_where_ranges_are_whole_units(opened: Opener) -> None:
    side = _side(opened)
    assert _step(side, "EFI stub").accepted_bytes == _step(side, "decompressor").accepted_bytes == 0


def test_the_stub_accepts_the_ragged_end_that_the_bitmap_cannot_hold(opened: Opener) -> None:
    side = _side(opened, accept=str(512 * MIB + 20 * PAGE_SIZE), memory=2 * GIB)
    step = _step(side, "EFI stub")
    assert (step.accepted_bytes, step.pages_4k, step.pages_2m) == (492 * PAGE_SIZE, 492, 0)


def test_lazy_linux_accepts_the_workload_and_little_more(opened: Opener) -> None:
    none, some = _side(opened), _side(opened, os_workload=8 * GIB)
    more = some.accepted_bytes - none.accepted_bytes
    assert 8 * GIB - 512 * MIB <= more <= 8 * GIB  # what early boot took and did not use comes first
    assert some.left_bytes + some.accepted_bytes == none.left_bytes + none.accepted_bytes == 64 * GIB


def test_a_workload_takes_blocks_of_4_mib_and_the_guard_unit_is_there_already(opened: Opener) -> None:
    assert _step(_side(opened, os_workload=8 * GIB), "workload").accepted_bytes % (4 * MIB) == 0


def test_on_a_large_td_the_watermark_takes_more_than_early_boot_does(opened: Opener) -> None:
    """promo is min_free_kbytes, 128 MiB, and three thousandths of the zone: 1008 GiB beside its struct pages."""
    step = _step(_side(opened, memory=1026 * GIB), "page allocator")
    assert 3218 * MIB < step.accepted_bytes < 3226 * MIB
    assert step.why.endswith("up to the watermark")


def test_eager_linux_accepts_everything_before_init(opened: Opener) -> None:
    lazy, eager = _side(opened), _side(opened, cmdline="nokaslr accept_memory=eager")
    assert (lazy.policy, eager.policy) == ("lazy", "eager")
    assert eager.left_bytes == 0
    assert eager.accepted_bytes == 64 * GIB
    assert eager.seconds > 20 * lazy.seconds
    assert [step.who for step in eager.steps if step.accepted_bytes] == ["memblock", "eager"]


def test_the_last_accept_memory_on_the_command_line_counts(opened: Opener) -> None:
    assert _side(opened, cmdline="accept_memory=eager accept_memory=lazy").policy == "lazy"


def test_a_host_of_small_pages_makes_every_unit_513_tdcalls(opened: Opener) -> None:
    large, small = _side(opened, cost="kvm-2m"), _side(opened)
    units = _step(large, "memblock").calls
    step = _step(small, "memblock")
    assert (step.calls, step.pages_4k) == (513 * units, 512 * units)
    assert small.seconds > 10 * large.seconds


def test_a_workload_on_many_vcpus_takes_less_modelled_time(opened: Opener) -> None:
    one, many = (_step(_side(opened, os_workload=16 * GIB, vcpus=vcpus), "workload") for vcpus in (1, 32))
    assert 0 <= one.accepted_bytes - many.accepted_bytes <= 80 * MIB  # 16 blocks of bring-up, per-CPU areas
    assert many.seconds < one.seconds / 5


def test_a_workload_larger_than_memory_is_not_met_in_full(opened: Opener) -> None:
    side = _side(opened, os_workload=80 * GIB)
    assert side.left_bytes == 0
    assert 14 * GIB < side.unmet_bytes < 18 * GIB


def test_all_accepted_leaves_the_os_nothing_to_do(opened: Opener) -> None:
    side = _side(opened, accept="eager")
    assert (side.steps, side.left_bytes, side.lost_bytes) == ((), 0, 0)


def test_a_kernel_without_unaccepted_memory_loses_what_was_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "old"
    make_kernel(path, CLOUD_6_12["size"], CLOUD_6_12["init_size"], unaccepted_memory=False)
    with open_boot_files(path) as opened:
        result = boot(TdOptions(memory=8 * GIB, accept=parse_boot_accept("below-4g")), opened.boot)
    assert "6 GiB of RAM are lost" in " ".join(result.messages)
    side = os_side(result)
    assert side is not None
    assert (side.policy, side.lost_bytes, side.left_bytes) == ("unsupported", 6 * GIB, 0)
    assert side.notes == ()


def test_linux_does_not_run_without_sept_ve_disable(opened: Opener) -> None:
    assert any("SEPT_VE_DISABLE" in note for note in _side(opened, sept_ve_disable=False).notes)
    assert _side(opened).notes == ()


def test_there_is_no_os_side_where_no_os_was_reached_or_nothing_is_unaccepted(opened: Opener) -> None:
    assert os_side(_boot(opened, td=False)) is None
    failed = boot(TdOptions(fault=("LoadImage:1=ABORTED",)), opened(0).boot)
    assert os_side(failed) is None


def test_modelling_the_os_leaves_the_machine_alone(opened: Opener) -> None:
    result = _boot(opened, os_workload=8 * GIB)
    before = (result.machine.td.accepted_bytes, result.machine.clock.now_ns, result.machine.td.tdcall.calls)
    assert os_side(result) == os_side(result)
    assert before == (result.machine.td.accepted_bytes, result.machine.clock.now_ns, result.machine.td.tdcall.calls)
