from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.dxe.memory.bins import stack_bins
from tdvfsh.dxe.memory.get_memory_map import build_memory_map
from tdvfsh.dxe.memory.import_map import core_from_descriptors, recognise, split_ram
from tdvfsh.dxe.memory.known_bins import INTEL_TDX, OVMF_X64, find_bins
from tdvfsh.dxe.profile import SID, TRIXIE, UPSTREAM
from tdvfsh.uefi.memory import EfiGcdMemoryType, MemoryDescriptor
from tdvfsh.units import PAGE_SHIFT
from tests.conformance.recording import first_map, read_events
from tests.dxe.machines import CONVENTIONAL, LOADER_DATA, RESERVED, RT_CODE, RT_DATA, WB, page

RECORDINGS = Path(__file__).resolve().parents[2] / "recordings"
RAW_MAPS = sorted((RECORDINGS / "maps").glob("getmemorymap-*.log"))
RUNTIME = 1 << 63


def recorded(name: str) -> list[MemoryDescriptor]:
    start = first_map(read_events(RECORDINGS / name))
    assert start is not None
    return start.descriptors


def chain(sizes: tuple[tuple[int, int], ...], top: int, below: int = 0) -> list[MemoryDescriptor]:
    """RAM that ends in a chain of bins; the lowest one has ``below`` pages of its type under it."""
    rows = []
    for memory_type, pages in sizes:
        top -= pages << PAGE_SHIFT
        rows.append(MemoryDescriptor(memory_type, top, pages, WB | (RUNTIME if memory_type in (5, 6) else 0)))
    low = rows[-1]
    rows[-1] = low._replace(
        physical_start=low.physical_start - (below << PAGE_SHIFT), number_of_pages=low.number_of_pages + below
    )
    rows.append(MemoryDescriptor(CONVENTIONAL, 0, rows[-1].physical_start >> PAGE_SHIFT, WB))
    return rows[::-1]


@pytest.mark.parametrize("path", RAW_MAPS, ids=lambda path: path.stem)
def test_a_machine_made_from_a_map_answers_that_map(path: Path) -> None:
    descriptors = recorded(f"maps/{path.name}")
    profile = SID if "sid" in path.name else TRIXIE
    core = core_from_descriptors(descriptors, profile)
    assert list(build_memory_map(core.memory_map, core.bins, core.gcd, profile).descriptors) == descriptors


def test_what_is_free_inside_the_bins_of_recorded_firmware_is_known_and_counted() -> None:
    descriptors = recorded("maps/getmemorymap-trixie-512M.log")
    core = core_from_descriptors(descriptors, TRIXIE)
    assert build_memory_map(core.memory_map, core.bins, core.gcd, TRIXIE).counted == len(descriptors) + 7
    assert core.pages.find_free_pages((1 << 64) - 1, 1, RT_DATA) == 0x1F984000


def test_the_same_firmware_is_recognised_at_every_memory_size() -> None:
    for name in ("512M", "1G", "6G"):
        firmware = recognise(split_ram(recorded(f"maps/getmemorymap-trixie-{name}.log"))[0])
        assert firmware is not None
        assert firmware.model.name == "ovmf-2025.02"


def test_a_map_of_unknown_firmware_is_taken_as_it_reads() -> None:
    descriptors = chain(OVMF_X64, 1 << 27)
    assert recognise(descriptors) is None
    core = core_from_descriptors(descriptors, UPSTREAM)
    assert core.pages.find_free_pages((1 << 64) - 1, 1, RT_DATA) < core.bins.default_maximum
    free = {int(RT_DATA): [(core.bins.default_maximum + 1, core.bins.default_maximum + 1 + page(4))]}
    core = core_from_descriptors(descriptors, UPSTREAM, free_in_bins=free)
    assert core.pages.find_free_pages((1 << 64) - 1, 1, RT_DATA) == core.bins.default_maximum + 1 + page(3)


@pytest.mark.parametrize("below", [0, 5])
@pytest.mark.parametrize("sizes", [OVMF_X64, INTEL_TDX[:5]])
def test_known_bins_are_found_by_order_and_size(sizes: tuple[tuple[int, int], ...], below: int) -> None:
    bins = find_bins(chain(sizes, 1 << 30, below))
    wanted = stack_bins(1 << 30, sizes if sizes is OVMF_X64 else INTEL_TDX)
    assert sorted((area.memory_type, area.start, area.end) for area in bins) == sorted(
        (area.memory_type, area.start, area.end) for area in wanted
    )


def test_bins_of_other_sizes_are_taken_as_they_stand() -> None:
    sizes = ((10, 0x90), (9, 0x20), (0, 0x90), (int(RT_CODE), 0x120), (int(RT_DATA), 0x140))
    bins = find_bins(chain(sizes, 1 << 30))
    assert bins.default_maximum == (1 << 30) - (sum(pages for _, pages in sizes) << PAGE_SHIFT) - 1


def test_a_map_without_a_chain_has_no_bins() -> None:
    rows = [MemoryDescriptor(CONVENTIONAL, 0, 16, WB), MemoryDescriptor(RT_CODE, page(16), 16, WB | RUNTIME)]
    assert len(find_bins(rows)) == 0


def test_reserved_and_mmio_ranges_that_cannot_be_cached_are_no_ram() -> None:
    rows = [
        MemoryDescriptor(CONVENTIONAL, 0, 16, WB),
        MemoryDescriptor(RESERVED, page(16), 16, WB),
        MemoryDescriptor(RESERVED, 0xE0000000, 16, 1),
        MemoryDescriptor(11, 0xFFC00000, 16, RUNTIME | 1),
        MemoryDescriptor(15, 1 << 32, 16, WB),
    ]
    ram, outside = split_ram(rows)
    assert (ram, outside) == (rows[:2], rows[2:])
    core = core_from_descriptors(rows, UPSTREAM)
    assert [entry.memory_type for entry in core.memory_map] == [CONVENTIONAL, RESERVED]
    assert sum(entry.size for entry in core.gcd.of_type(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted)) == page(16)


def test_a_td_whose_ram_has_no_attributes_is_read_too() -> None:
    rows = [MemoryDescriptor(CONVENTIONAL, 0, 16, 0), MemoryDescriptor(LOADER_DATA, page(16), 16, 0)]
    assert split_ram(rows) == (rows, [])


def test_spare_descriptors_fill_whole_pages_and_full_pages_leave_none() -> None:
    for count, expected in ((5, 59), (63, 1), (64, 0), (65, 63), (128, 0)):
        rows = [MemoryDescriptor(CONVENTIONAL if n % 2 else LOADER_DATA, page(n), 1, WB) for n in range(count)]
        assert core_from_descriptors(rows, UPSTREAM).memory_map.descriptor_pages.spare == expected


def test_an_empty_map_makes_an_empty_machine() -> None:
    core = core_from_descriptors([], UPSTREAM)
    assert len(core.memory_map) == 0
    assert core.memory_attributes_table is None
