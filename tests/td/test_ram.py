from __future__ import annotations

import pytest

from tdvfsh.errors import UsageError
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.units import GIB, MIB, TIB


@pytest.mark.parametrize(
    ("memory", "low", "high"),
    [
        (128 * MIB, 128 * MIB, None),
        (GIB, GIB, None),
        (2560 * MIB, 0xA0000000, None),
        (2816 * MIB - 4096, 2816 * MIB - 4096, None),
        (2816 * MIB, 2 * GIB, 4 * GIB + 768 * MIB),
        (4 * GIB, 2 * GIB, 6 * GIB),
        (8 * GIB, 2 * GIB, 10 * GIB),
        (64 * TIB, 2 * GIB, 64 * TIB + 2 * GIB),
    ],
)
def test_q35_splits_ram_at_2816_mib(memory: int, low: int, high: int | None) -> None:
    ram = RamLayout.q35(memory)
    assert ram.low == (0, low)
    assert (ram.high.end if ram.high else None) == high
    assert sum(span.size for span in ram.spans) == ram.memory == memory


def test_max_ram_below_4g_lowers_the_low_part_only() -> None:
    assert RamLayout.q35(4 * GIB, GIB).spans == ((0, GIB), (4 * GIB, 7 * GIB))
    assert RamLayout.q35(4 * GIB, 3 * GIB).low.end == 2 * GIB


@pytest.mark.parametrize("memory", [0, -1, 127 * MIB, 64 * TIB + 4096])
def test_a_size_out_of_range_names_the_limits(memory: int) -> None:
    with pytest.raises(UsageError, match="128M to 64T"):
        RamLayout.q35(memory)


def test_a_size_that_is_no_page_multiple_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of 4 KiB"):
        RamLayout.q35(GIB + 1)


def test_contains_and_span_at_know_the_hole_below_4g() -> None:
    ram = RamLayout.q35(4 * GIB)
    assert ram.contains(0, 2 * GIB)
    assert not ram.contains(0, 2 * GIB + 1)
    assert not ram.contains(3 * GIB, 3 * GIB)
    assert ram.span_at(3 * GIB) is None
    assert ram.span_at(4 * GIB) == (4 * GIB, 6 * GIB)
    assert ram.next_span(2 * GIB) == (4 * GIB, 6 * GIB)
    assert ram.end == 6 * GIB


def test_ram_must_end_below_the_shared_bit() -> None:
    largest = RamLayout.q35(64 * TIB)
    TrustDomain(largest, gpaw=52)
    TrustDomain(largest, gpaw=48)
    beyond = RamLayout(1 << 47, largest.low, largest.low._replace(start=4 * GIB, end=(1 << 47) + 4096))
    with pytest.raises(UsageError, match="shared bit of GPAW 48"):
        TrustDomain(beyond, gpaw=48)
    TrustDomain(beyond, gpaw=52)


@pytest.mark.parametrize(("gpaw", "vcpus", "host_page_size"), [(47, 1, 4096), (48, 0, 4096), (48, 1, 8192)])
def test_a_td_that_cannot_be_is_refused(gpaw: int, vcpus: int, host_page_size: int) -> None:
    with pytest.raises(UsageError):
        TrustDomain(RamLayout.q35(GIB), gpaw=gpaw, vcpus=vcpus, host_page_size=host_page_size)


def test_spans_that_touch_are_joined_but_not_across_4_gib_and_holes_stay() -> None:
    given = [(5 * MIB, 9 * MIB), (0, 2 * MIB), (2 * MIB, 3 * MIB), (3 * GIB, 5 * GIB), (5 * GIB, 6 * GIB)]
    ram = RamLayout.of_spans(AddressSpan(start, end) for start, end in given)
    assert [(span.start, span.end) for span in ram.spans] == [
        (0, 3 * MIB), (5 * MIB, 9 * MIB), (3 * GIB, 4 * GIB), (4 * GIB, 6 * GIB),
    ]  # fmt: skip
    assert ram.memory == sum(end - start for start, end in given)


@pytest.mark.parametrize("spans", [[], [AddressSpan(0, 2 * MIB), AddressSpan(MIB, 3 * MIB)]])
def test_ram_that_is_nowhere_or_twice_is_refused(spans: list[AddressSpan]) -> None:
    with pytest.raises(UsageError):
        RamLayout.of_spans(spans)
