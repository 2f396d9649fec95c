"""Which kernel's count stands for which."""

from __future__ import annotations

import pytest

from tdvfsh.linux.os_counts import early_count, memory_devices
from tdvfsh.units import GIB, MIB


@pytest.mark.parametrize(
    ("release", "seen_with"),
    [
        ("6.12.107+deb13-cloud-amd64 (someone) #1", "6.12.107+deb13-cloud-amd64"),
        ("6.12.107+deb13-amd64", "6.12.107+deb13-amd64"),
        ("6.8.0-31-generic", "6.12.107+deb13-amd64"),
        ("6.17.4-cloud", "6.12.107+deb13-cloud-amd64"),
        ("6.19.0", "6.18.15+deb13-cloud-amd64"),
        ("8.0.1", "7.2.13+deb14-cloud-amd64"),
        ("", "6.12.107+deb13-cloud-amd64"),
    ],
)
def test_the_newest_kernel_that_is_not_newer_stands_for_one_that_was_not_seen(release: str, seen_with: str) -> None:
    assert early_count(release).seen_with == seen_with


@pytest.mark.parametrize(
    ("spans", "devices"),
    [
        ([(0, 2 * GIB)], 16),
        ([(0, 2 * GIB), (4 * GIB, 10 * GIB)], 64),
        ([(0, 2 * GIB), (4 * GIB, 68 * GIB)], 33),
        ([(0, 2 * GIB), (4 * GIB, 68 * GIB + 256 * MIB)], 8 + 257),
    ],
)
def test_memory_devices_are_larger_from_64_gib_on_as_the_end_of_memory_allows(
    spans: list[tuple[int, int]], devices: int
) -> None:
    assert memory_devices(spans) == devices


def test_requests_grow_with_the_devices() -> None:
    count = early_count("6.12-cloud")
    assert [count.blocks(devices) - count.fixed for devices in (0, 1, 32, 64)] == [0, 0, 27, 54]
