"""Firmware's requests to its pool become the pages that the DXE core's own pool takes and returns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.memory.pool import BLOCK_SIZES, POOL_OVERHEAD
from tdvfsh.loaders.pool_requests import with_pool_pages
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.firmware_calls import FirmwareCall
from tdvfsh.td.footprint import firmware_model, ram_end
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import GIB, MIB, PAGE_SIZE

DATA = EfiMemoryType.EfiBootServicesData
PAGE = FirmwareCall(memory_type=DATA, pages=1)


def pages(*texts: str | FirmwareCall, initrd: int = 0, cmdline: int = 0) -> list[FirmwareCall]:
    """What requests come to."""
    calls = tuple(FirmwareCall(pool=text) if isinstance(text, str) else text for text in texts)
    return [call for call in with_pool_pages(calls, initrd, cmdline) if call != FirmwareCall()]


def test_a_page_is_taken_when_no_block_is_left_and_returned_when_all_are_free() -> None:
    assert pages("a") == [PAGE]
    assert pages("a" * 31) == [PAGE]  # 4096 bytes hold 32 blocks of 128, less what larger classes leave over
    assert pages("g", "g") == [PAGE, PAGE]
    assert pages("g1") == [PAGE, FirmwareCall(frees=0, pages=1)]
    assert pages("gg 2") == [PAGE, PAGE, FirmwareCall(frees=0, pages=1)]


def test_blocks_of_before_are_used_first_and_their_page_stays() -> None:
    assert pages("Ba") == []
    assert pages("Ba1B") == []
    assert pages("Bab") == [PAGE]


def test_what_is_done_for_an_initrd_only_is_left_out_without_one_and_still_counts() -> None:
    calls = ("g", FirmwareCall(pool="gi", initrd=True), "g4")
    assert pages(*calls, initrd=2000) == [PAGE, PAGE, PAGE, PAGE, FirmwareCall(frees=0, pages=1)]
    assert pages(*calls) == [PAGE, PAGE, FirmwareCall(frees=0, pages=1)]


def test_blobs_take_the_class_of_their_size_and_none_where_they_take_whole_pages() -> None:
    assert pages("Ak", cmdline=88) == []
    assert pages("Ak", cmdline=89) == [PAGE]
    assert pages("Ak") == []
    assert pages("Ai", initrd=2648) == [PAGE]
    assert pages("Ai", initrd=2649) == []


def test_calls_keep_what_they_free_though_their_numbers_change() -> None:
    large = FirmwareCall(memory_type=DATA, pages=7)
    calls = ("g", large, "gg", FirmwareCall(frees=1, pages=7))
    assert pages(*calls) == [PAGE, large, PAGE, PAGE, FirmwareCall(frees=1, pages=7)]
    assert pages("9") == []


@given(st.lists(st.one_of(st.integers(0, 6), st.integers(-40, -1)), max_size=120))
def test_pages_come_and_go_as_in_the_dxe_cores_own_pool(steps: list[int]) -> None:
    core = Machine(TdOptions(memory=512 * MIB, td=False)).services.core.copy()
    pool, blocks, text, expected = core.pool, list[int](), list[str](), list[FirmwareCall]()
    while (block := pool.next_block(DATA, 0)) is not None:  # what is left in pages of before
        pool.forget_free_block(block)
    taken: dict[int, int] = {}
    owned = set(pool._pages)
    for step in steps:
        if step >= 0:
            buffer = pool.allocate_pool(DATA, BLOCK_SIZES[step] - POOL_OVERHEAD).buffer
            assert buffer
            blocks.append(buffer)
            text.append("abcdefg"[step])
        elif -step <= len(blocks) and blocks[step]:
            pool.free_pool(blocks[step])
            blocks[step] = 0
            text.append(str(-step))
        for page in set(pool._pages) - owned:
            taken[page] = len(expected)
            expected.append(PAGE)
        for page in owned - set(pool._pages):
            expected.append(FirmwareCall(frees=taken.pop(page), pages=1))
        owned = set(pool._pages)
    assert pages(" ".join(text)) == expected


@pytest.mark.parametrize("name", ["ovmf-2022.11", "ovmf-2025.02", "ovmf-2026.08"])
@pytest.mark.parametrize("end", ["below", "at", "above", "high"])
def test_every_recorded_stage_has_blocks_to_begin_with_wherever_ram_ends(name: str, end: str) -> None:
    stage = firmware_model(name, td=False).stages["direct"]
    calls = stage.calls_below(2 * GIB, end)
    assert [call for call in calls[:4] if call.pool.isupper()]
    played = with_pool_pages(calls, 40 * MIB, 48)
    assert not any(call.pool for call in played)
    assert all(call.frees is None or call.frees < number for number, call in enumerate(played))


def test_ram_ends_below_at_or_above_two_gib_or_beyond_four() -> None:
    assert [ram_end(end, False) for end in (GIB, 2 * GIB, 2 * GIB + PAGE_SIZE)] == ["below", "at", "above"]
    assert ram_end(2 * GIB, True) == "high"
