"""What a step of loading needs from memory, and accepting it.

A loader of option 2 or 3 knows the sizes of what it loads. It states them as :class:`Need` and leaves to this module
where to accept, below which limit and how much.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.dxe.accept_memory import take_into_map
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import EfiAllocateType, EfiGcdMemoryType, EfiMemoryType
from tdvfsh.units import MIB, PAGE_SHIFT, PAGE_SIZE, align_up

NO_LIMIT: Final = (1 << 64) - 1
ACCEPT_CHUNK: Final = 32 * MIB
"""PcdTdxAcceptPageChunkSize: option 1 rounds what it accepts up to a multiple of this."""


@dataclass(frozen=True, slots=True)
class Need:
    """One contiguous piece of memory that a step will ask for.

    Attributes:
        what: As the placement will be called: ``kernel_file``, ``image``, ``kernel`` …
        size: Bytes.
        memory_type: Type it will be allocated as.
        maximum: Last byte address it may use.
        minimum: First byte address it may use.
        alignment: Bytes, where it looks for its place itself and takes the lowest (the EFI stub's kernel buffer);
            0 where firmware places it at the top.
        release: A need of this name ends before this one is met: its memory is free again.
    """

    what: str
    size: int
    memory_type: EfiMemoryType = EfiMemoryType.EfiLoaderData
    maximum: int = NO_LIMIT
    minimum: int = 0
    alignment: int = 0
    release: str | None = None


def unaccepted_ranges(services: BootServices, maximum: int = NO_LIMIT) -> list[tuple[int, int]]:
    """Unaccepted ``(start, end)`` below ``maximum``, lowest first, clipped to it."""
    ranges = []
    for entry in services.gcd.of_type(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted):
        end = min(entry.end, (maximum + 1) & -PAGE_SIZE)
        if entry.start < end:
            ranges.append((entry.start, end))
    return ranges


def lowest_fit(services: BootServices, need: Need, extra: int = 0) -> tuple[int, int] | None:
    """The lowest unaccepted range that can hold ``need``, cut to the size that it requires; None where none can.

    Args:
        services: Whose GCD is searched.
        need: The allocation that must fit.
        extra: Bytes to accept on top, for what else will be drawn there.
    """
    size = align_up(need.size + extra, PAGE_SIZE)
    for start, end in unaccepted_ranges(services, need.maximum):
        start = max(start, align_up(need.minimum, PAGE_SIZE))
        if need.alignment:
            start = align_up(start, need.alignment)
        if start + size <= end:
            return start, start + size
    return None


def meets(services: BootServices, need: Need) -> int | None:
    """Try to allocate ``need`` the way its step will, on services that may be spoilt; the address, or None."""
    pages = (need.size + PAGE_SIZE - 1) >> PAGE_SHIFT
    core = services.core
    if not need.alignment:
        result = core.pages.allocate_pages(EfiAllocateType.AllocateMaxAddress, need.memory_type, pages, need.maximum)
        return None if result.status.is_error else result.memory
    for start, end in core.memory_map.free_ranges():
        at = align_up(max(start, need.minimum), need.alignment)
        if at + (pages << PAGE_SHIFT) <= min(end, need.maximum + 1):
            core.pages.allocate_pages(EfiAllocateType.AllocateAddress, need.memory_type, pages, at)
            return at
    return None


def plan_accepts(services: BootServices, needs: Sequence[Need]) -> list[tuple[int, int]] | None:
    """Ranges to accept so that all ``needs`` can be met in their order; None where no accept helps.

    The plan is tried on a copy of the memory map. What fails there is accepted there, at the lowest place that fits.
    Then the whole order is tried again, for firmware places requests as high as it can and may draw earlier ones into
    the memory just accepted; by so much the range is made larger.
    """
    extra: dict[str, int] = {}
    for _ in range(4 * len(needs) + 1):
        ranges = _ranges_for(services, needs, extra)
        if ranges is None:
            return None
        outcome = _try_in_order(services, needs, list(ranges.values()))
        if outcome is None:
            return list(ranges.values())
        lacking, placed = outcome
        if lacking.what in ranges:
            low, high = ranges[lacking.what]
            drawn = sum(size for start, size in placed if low <= start < high)
            extra[lacking.what] = max(drawn, extra[lacking.what] + PAGE_SIZE)
        else:
            extra[lacking.what] = 0
    return None


def _ranges_for(
    services: BootServices, needs: Sequence[Need], extra: dict[str, int]
) -> dict[str, tuple[int, int]] | None:
    ranges: dict[str, tuple[int, int]] = {}
    if not extra:
        return ranges
    trial = _spoilable(services)
    for need in needs:
        if need.what in extra:
            found = lowest_fit(trial, need, extra[need.what])
            if found is None:
                return None
            take_into_map(trial, *found)
            ranges[need.what] = found
    return ranges


def _try_in_order(
    services: BootServices, needs: Sequence[Need], accepts: Sequence[tuple[int, int]]
) -> tuple[Need, list[tuple[int, int]]] | None:
    """None where all needs are met; else the first that is not, and where all before it were placed, gone or not."""
    trial = _spoilable(services)
    for start, end in accepts:
        take_into_map(trial, start, end)
    placed: dict[str, tuple[int, int]] = {}
    for need in needs:
        if need.release is not None and need.release in placed:
            start, size = placed[need.release]
            trial.core.pages.free_pages(start, size >> PAGE_SHIFT)
        at = meets(trial, need)
        if at is None:
            return need, list(placed.values())
        placed[need.what] = (at, align_up(need.size, PAGE_SIZE))
    return None


def _spoilable(services: BootServices) -> BootServices:
    return BootServices(services.core.memory_copy(), services.td, services.trace)
