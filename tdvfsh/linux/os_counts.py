"""How many blocks of 4 MiB Linux accepts before its watermarks are set: counted on real kernels, not derived.

Until then cond_accept_memory() takes a block for every single call of get_page_from_freelist(), so what counts is how
often the slab allocator and others ask for pages. Part of that grows with the devices that sysfs shows for memory, of
128 MiB each: of 6.12's 54 pages for 64 of them 42 are for kernfs nodes, 8 for ``struct memory_block`` and 4 for
``struct device_private``.

Source: Linux 6.12 mm/page_alloc.c (cond_accept_memory), drivers/base/memory.c (memory_dev_init), drivers/base/node.c,
arch/x86/mm/init_64.c (probe_memory_block_size); the counts: tests/recordings/os, which tests/linux/test_os_real.py
holds them to.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final
from tdvfsh.linux.os_memblock import SECTION, sections
from tdvfsh.units import GIB

_LARGE_BLOCKS_FROM: Final = 64 * GIB
_LARGEST_BLOCK: Final = 2 * GIB
_RELEASE: Final = pattern(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class EarlyCount:
    """Page requests between the page allocator's start with all memory and its watermarks, on one processor.

    Attributes:
        seen_with: The kernel that they were counted on.
        fixed: Those that are always made.
        per_64_devices: Those that 64 memory devices make.
    """

    seen_with: str
    fixed: int
    per_64_devices: int

    def blocks(self, devices: int) -> int:
        """Blocks of 4 MiB on a machine with that many memory devices."""
        return self.fixed + devices * self.per_64_devices // 64


_COUNTS: Final = (
    EarlyCount("6.12.107+deb13-cloud-amd64", 67, 54),
    EarlyCount("6.12.107+deb13-amd64", 74, 54),
    EarlyCount("6.18.15+deb13-cloud-amd64", 76, 54),
    EarlyCount("7.2.13+deb14-cloud-amd64", 79, 57),
)


def early_count(release: str) -> EarlyCount:
    """The count of the newest kernel not newer than ``release``, else of the oldest; of the same flavour if any is.

    Args:
        release: As the kernel's header says it; empty where it says nothing.
    """
    wanted = _version(release)
    known = [_version(count.seen_with) for count in _COUNTS]
    nearest = max((version for version in known if version <= wanted), default=known[0])
    rows = [count for count, version in zip(_COUNTS, known, strict=True) if version == nearest]
    cloud = is_cloud(release)
    return next((row for row in rows if is_cloud(row.seen_with) == cloud), rows[0])


def is_cloud(release: str) -> bool:
    """Whether a release is of Debian's cloud flavour, which one that says nothing is taken for."""
    return not release or "cloud" in release


def memory_devices(spans: Sequence[tuple[int, int]]) -> int:
    """How many devices sysfs shows for RAM: one for 128 MiB; from 64 GiB on larger ones, as the end of RAM allows."""
    end = max(last for _, last in spans)
    size = SECTION
    if end >= _LARGE_BLOCKS_FROM:
        size = _LARGEST_BLOCK
        while size > SECTION and end % size:
            size //= 2
    return sections(spans, size)


def _version(release: str) -> tuple[int, int]:
    found = _RELEASE.match(release)
    return (int(found[1]), int(found[2])) if found else (0, 0)
