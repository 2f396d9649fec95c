"""What Linux accepts after boot, by the arithmetic of its sources."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.images.make import make_kernel
from tdvfsh.machine import TdOptions
from tdvfsh.machine.boot import BootResult, boot
from tdvfsh.machine.files import open_boot_files
from tdvfsh.machine.os_memory import zones_of
from tdvfsh.machine.os_side import OsAccept, OsSide, os_side
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import GIB, KIB, LARGE_PAGE_SIZE, MIB, PAGE_SHIFT, PAGE_SIZE
from tests.machine.conftest import CLOUD_6_12, Opener

CONVENTIONAL = EfiMemoryType.EfiConventionalMemory


def _boot(opened: Opener, cmdline: str = "nokaslr", accept: str = "below-4g", **more: object) -> BootResult:
    options = TdOptions(accept=parse_boot_accept(accept), **{"memory": 66 * GIB, **more})  # type: ignore[arg-type]
    return boot(options, opened(0, cmdline).boot)


def _side(opened: Opener, unpacked: int = 0, **more: object) -> OsSide:
    side = os_side(_boot(opened, **more), unpacked)  # type: ignore[arg-type]
    assert side is not None
    return side


def _step(side: OsSide, who: str) -> OsAccept:
    return next(step for step in side.steps if step.who == who)


def test_the_struct_pages_of_66_gib_are_accepted_2_mib_per_128_mib(opened: Opener) -> None:
    step = _step(_side(opened), "memblock")
    assert step.accepted_bytes == 66 * GIB // 64
    assert (step.pages_4k, step.pages_2m) == (0, step.accepted_bytes // LARGE_PAGE_SIZE)


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
    assert 8 * GIB <= more <= 8 * GIB + 512 * MIB
    assert some.left_bytes + some.accepted_bytes == none.left_bytes + none.accepted_bytes == 64 * GIB


def test_the_page_allocator_takes_blocks_of_4_mib_and_a_guard_unit(opened: Opener) -> None:
    step = _step(_side(opened, unpacked=64 * MIB), "initramfs")
    assert step.accepted_bytes % (4 * MIB) == 2 * MIB


def test_eager_linux_accepts_everything_before_init(opened: Opener) -> None:
    lazy, eager = _side(opened), _side(opened, cmdline="nokaslr accept_memory=eager")
    assert (lazy.policy, eager.policy) == ("lazy", "eager")
    assert eager.left_bytes == 0
    assert eager.accepted_bytes == 64 * GIB
    assert eager.seconds > 20 * lazy.seconds


def test_the_last_accept_memory_on_the_command_line_counts(opened: Opener) -> None:
    assert _side(opened, cmdline="accept_memory=eager accept_memory=lazy").policy == "lazy"


def test_a_host_of_small_pages_makes_every_unit_513_tdcalls(opened: Opener) -> None:
    large, small = _side(opened), _side(opened, host_page_size=PAGE_SIZE)
    units = _step(large, "memblock").calls
    step = _step(small, "memblock")
    assert (step.calls, step.pages_4k) == (513 * units, 512 * units)
    assert small.seconds > 10 * large.seconds


def test_a_workload_on_many_vcpus_takes_less_modelled_time(opened: Opener) -> None:
    one, many = (_step(_side(opened, os_workload=16 * GIB, vcpus=vcpus), "workload") for vcpus in (1, 32))
    assert one.accepted_bytes == many.accepted_bytes
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
    failed = boot(TdOptions(faults=("LoadImage:1=ABORTED",)), opened(0).boot)
    assert os_side(failed) is None


def test_modelling_the_os_leaves_the_machine_alone(opened: Opener) -> None:
    result = _boot(opened, os_workload=8 * GIB)
    before = (result.machine.td.accepted_bytes, result.machine.clock.now_ns, result.machine.td.tdcall.calls)
    assert os_side(result) == os_side(result)
    assert before == (result.machine.td.accepted_bytes, result.machine.clock.now_ns, result.machine.td.tdcall.calls)


@pytest.mark.parametrize(("memory", "kib"), [(2 * GIB, 45056), (8 * GIB, 67584)])
def test_min_free_kbytes_is_what_linux_shows_on_machines_of_that_size(memory: int, kib: int) -> None:
    low = min(memory, 2 * GIB)
    descriptors = [MemoryDescriptor(CONVENTIONAL, 0, low >> PAGE_SHIFT, 0)]
    if memory > low:
        descriptors.append(MemoryDescriptor(CONVENTIONAL, 4 * GIB, (memory - low) >> PAGE_SHIFT, 0))
    zones = zones_of(descriptors, ())
    steps = [max((zone.promo - zone.low) // 2, 0) for zone in zones]
    least = sum(zone.low - step for zone, step in zip(zones, steps, strict=True))
    assert abs(least - kib * KIB) <= len(zones) * 2


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4096), st.integers(1, 300)), max_size=6),
    st.integers(0, 20 * GIB),
    st.booleans(),
)
def test_what_is_taken_from_a_zone_is_taken_once_and_the_rest_stays(
    pieces: list[tuple[int, int]], size: int, top: bool
) -> None:
    runs, at = [], 4 * GIB
    for gap, units in pieces:
        at += gap * LARGE_PAGE_SIZE
        runs.append((at, at + units * LARGE_PAGE_SIZE))
        at += units * LARGE_PAGE_SIZE
    zones = zones_of([MemoryDescriptor(CONVENTIONAL, 0, 1 << 20, 0)], runs)
    zone = zones[0]
    before = sum(each.unaccepted_bytes for each in zones)
    there = zone.unaccepted_bytes
    taken = zone.take_from_top(size) if top else zone.take_from_bottom(size)
    got = sum(end - start for start, end in taken)
    assert min(size, there) <= got <= min(size + LARGE_PAGE_SIZE, there)
    assert sum(each.unaccepted_bytes for each in zones) == before - got
    rest = [*taken, *zone.unaccepted]
    assert len({start for start, _ in rest}) == len(rest)
    ordered = sorted(rest)
    assert all(low[1] <= high[0] for low, high in pairwise(ordered))
