"""What the processor sees of RAM while more and more of it is accepted, and some of it is shared again."""

from __future__ import annotations

from random import Random

import pytest

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.machine import TdOptions
from tdvfsh.td.mapgpa import map_gpa
from tdvfsh.td.ranges import RangeMap
from tdvfsh.uefi.tdx import SeptLevel
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE
from tests.engine.programs import guest


def _accept(firmware: GuestFirmware, start: int, size: int = LARGE_PAGE_SIZE) -> None:
    level = SeptLevel.LEVEL_2M if size == LARGE_PAGE_SIZE else SeptLevel.LEVEL_4K
    assert firmware.td.tdcall.accept_page(start, level).status == 0
    firmware.ram.grown()


def _regions(firmware: GuestFirmware) -> list[tuple[int, int]]:
    ram = firmware.ram
    return sorted((start, end + 1) for start, end, _ in firmware.cpu.uc.mem_regions() if start < ram.end)


def _check(firmware: GuestFirmware) -> None:
    """The emulator's regions are what is accepted, and its hooks are on all the rest of the address space."""
    seen: RangeMap[bool] = RangeMap()
    for start, end in _regions(firmware):
        seen.set(start, end, True)
    runs = firmware.ram.runs
    firmware.ram.refresh()
    assert runs == firmware.ram.runs == [(start, end) for start, end, _ in seen.spans()] == firmware.cpu.mapped.runs
    gaps = [(end, start - 1) for (_, end), (start, _) in zip([(0, 0), *runs], [*runs, (1 << 64, 0)], strict=True)]
    assert sorted(firmware.cpu._stores._hooks) == [gap for gap in gaps if gap[0] <= gap[1]]


@pytest.mark.parametrize("page", [LARGE_PAGE_SIZE, PAGE_SIZE])
def test_what_is_accepted_piece_by_piece_is_seen_piece_by_piece(page: int) -> None:
    options = TdOptions(cost="kvm-2m" if page == LARGE_PAGE_SIZE else "kvm-4k")
    order = Random(1)
    with guest(options) as (firmware, _):
        board, free = firmware.board, [GIB + number * page for number in range(300)]
        firmware.cpu.store_plainly()
        order.shuffle(free)
        for number, start in enumerate(free):
            _accept(firmware, start, page)
            if number % 7 == 3:
                assert not firmware.cpu.mapped._mapped.get(start)
            elif number % 5:
                assert firmware.ram.accepted(start, page)
                assert board.map_accepted()
                assert firmware.cpu.mapped._mapped.get(start)
            if number % 60 == 59:
                board.map_accepted()
                _check(firmware)
            if number % 100 == 99:  # shared, and private again
                map_gpa(firmware.td, start | firmware.td.shared_mask, page)
                board._hardware.converted()
                _check(firmware)
                map_gpa(firmware.td, start, page)
                _accept(firmware, start, page)
                assert board.map_accepted()
                _check(firmware)


def test_neighbours_become_one_region_and_a_large_one_stays_as_it_is() -> None:
    with guest(TdOptions(memory="8G", cost="kvm-2m")) as (firmware, _):
        firmware.cpu.store_plainly()
        largest, most = max(end - start for start, end in _regions(firmware)), 0
        assert largest > 256 * MIB
        unmapped: list[int] = []
        unmap = firmware.cpu.uc.mem_unmap

        def noting(start: int, size: int) -> None:
            unmapped.append(size)
            unmap(start, size)

        firmware.cpu.uc.mem_unmap = noting
        for start in range(512 * MIB, 2 * GIB, LARGE_PAGE_SIZE):
            _accept(firmware, start)
            assert firmware.board.map_accepted()
            most = max(most, len(_regions(firmware)))
        assert most <= 193
        assert max(unmapped) <= 64 * MIB
        assert len(unmapped) < (2 * GIB - 512 * MIB) // LARGE_PAGE_SIZE
        _check(firmware)


def test_pieces_that_do_not_touch_are_not_mapped_again_and_again() -> None:
    with guest(TdOptions(memory="8G", cost="kvm-2m")) as (firmware, _):
        unmapped: list[int] = []
        firmware.cpu.uc.mem_unmap = lambda start, size: unmapped.append(size)
        for start in range(512 * MIB, 2 * GIB, 2 * LARGE_PAGE_SIZE):
            _accept(firmware, start + LARGE_PAGE_SIZE)
            assert firmware.board.map_accepted()
        assert not unmapped
