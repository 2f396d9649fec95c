"""RAM that the VMM did not provide is never allocated: maps, allocations, accepts and boots stay inside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.errors import TdvfshError, UsageError
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.td.hob import TdHobEntry, build_td_hob_list
from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.hob import ResourceType
from tdvfsh.uefi.memory import AddressSpan, EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, MIB, PAGE_SIZE
from tests.boots.made_files import INSTALLER_INITRD, Opener

SVSM_HOBS = Path(__file__).parents[1] / "cases" / "maps" / "hob-svsm.bin"
"""RAM at 0 to 128 MiB, 144 MiB to 2 GiB and 4 to 6 GiB: an SVSM keeps the 16 MiB between."""
HOLE = AddressSpan(0x8000000, 0x9000000)
_NO_RAM = (EfiMemoryType.EfiReservedMemoryType, EfiMemoryType.EfiMemoryMappedIO)


def _machine(path: Path, accept: str, **options: object) -> Machine:
    return Machine(TdOptions(map=str(path), accept=parse_boot_accept(accept), **options))  # type: ignore[arg-type]


def _in_hole(start: int, end: int) -> bool:
    return start < HOLE.end and HOLE.start < end


def test_the_map_of_a_td_with_a_hole_ends_before_it_and_begins_again_behind_it() -> None:
    rows = _machine(SVSM_HOBS, "below-4g").services.memory_map_view().descriptors
    free = [row for row in rows if row.memory_type == EfiMemoryType.EfiConventionalMemory]
    assert HOLE.start in {row.physical_end for row in free}
    assert HOLE.end in {row.physical_start for row in free}
    assert not any(_in_hole(row.physical_start, row.physical_end) for row in rows)


def test_a_page_in_a_hole_cannot_be_allocated() -> None:
    services = _machine(SVSM_HOBS, "below-4g").services
    result = services.allocate_pages(
        EfiAllocateType.AllocateAddress, EfiMemoryType.EfiLoaderData, 1, HOLE.start + 4 * MIB
    )
    assert result.status is EfiStatus.EFI_NOT_FOUND


@pytest.mark.parametrize("accept", ["128M", "300M", "360M", "512M", "below-4g", "eager"])
@pytest.mark.parametrize("loader", ["direct", "grub2.12", "sd-boot"])
def test_nothing_of_a_boot_lies_in_the_hole(opened: Opener, accept: str, loader: str) -> None:
    files = opened(INSTALLER_INITRD).boot
    result = boot(TdOptions(map=str(SVSM_HOBS), accept=parse_boot_accept(accept), loader=loader), files)
    assert not [entry for entry in result.placements if _in_hole(entry.start, entry.end)]


def test_firmware_that_a_hole_would_cut_in_two_does_not_start_and_says_where() -> None:
    with pytest.raises(UsageError, match=r"does not start: firmware inteltdx keeps .*not all of that is accepted RAM"):
        _machine(SVSM_HOBS, "160M")


def test_ram_across_4_gib_is_low_ram_and_high_ram() -> None:
    layout = RamLayout.of_spans([AddressSpan(0, 6 * GIB)])
    assert layout.spans == (AddressSpan(0, 4 * GIB), AddressSpan(4 * GIB, 6 * GIB))
    assert (layout.low.end, layout.high) == (4 * GIB, AddressSpan(4 * GIB, 6 * GIB))


@st.composite
def ram_lists(draw: st.DrawFn) -> list[AddressSpan]:
    """RAM ranges of whole pages in any number, often with a first one that firmware can live in."""
    first = draw(st.sampled_from([0, 0, 0, MIB, 16 * MIB]))
    spans = [AddressSpan(first, first + draw(st.integers(96, 2048)) * MIB)]
    for _ in range(draw(st.integers(0, 5))):
        start = spans[-1].end + draw(st.integers(1, 300)) * draw(st.sampled_from([PAGE_SIZE, MIB]))
        spans.append(AddressSpan(start, start + draw(st.integers(1, 700)) * draw(st.sampled_from([PAGE_SIZE, MIB]))))
    return spans


def _covered(spans: Sequence[AddressSpan], start: int, end: int) -> bool:
    return (
        sum(min(end, span.end) - max(start, span.start) for span in spans if span.start < end and start < span.end)
        == end - start
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spans=ram_lists(),
    accept=st.sampled_from(["96M", "200M", "512M", "below-4g", "eager"]),
    on_demand=st.sampled_from(["none", "allocator"]),
    td=st.booleans(),
    pages=st.lists(st.integers(1, 60_000), max_size=6),
)
def test_no_descriptor_allocation_or_accept_is_outside_ram(
    tmp_path: Path, spans: list[AddressSpan], accept: str, on_demand: str, td: bool, pages: list[int]
) -> None:
    entries = [TdHobEntry(span.start, span.size, ResourceType.MEMORY_UNACCEPTED) for span in spans]
    path = tmp_path / "hob.bin"
    path.write_bytes(build_td_hob_list(entries, 0x809000))
    try:
        machine = _machine(path, accept, on_demand=on_demand, td=td)
    except TdvfshError:
        return  # it says that it does not start, and why
    services = machine.services
    for count in pages:
        status, start = services.allocate_pages(EfiAllocateType.AllocateAnyPages, EfiMemoryType.EfiLoaderData, count, 0)
        assert status is not SUCCESS or _covered(spans, start, start + count * PAGE_SIZE)
    for row in services.memory_map_view().descriptors:
        is_ram = row.memory_type not in _NO_RAM or _covered(spans, row.physical_start, row.physical_start + 1)
        assert not is_ram or _covered(spans, row.physical_start, row.physical_end)
    assert machine.td.accepted_bytes + machine.td.unaccepted_bytes == sum(span.size for span in spans)
