"""Replay of what firmware allocates by itself between the steps of a boot, as recorded.

What a stretch of such calls comes to follows from the memory map that it begins with, as long as nothing but the
allocator and the journal has to do with it, and many boots come to it with the same map: those of the same files in the
same RAM, whatever happens later. So the outcome of a stretch is kept with the whole map that it began with, and taken
from there where a map equals that one, descriptor by descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.memory.bins import Bins
from tdvfsh.dxe.memory.memory_map import MemoryMap
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.loaders.pool_requests import with_pool_pages
from tdvfsh.td.firmware_calls import FirmwareCall, FirmwareCalls
from tdvfsh.trace.records import AllocatePagesCall, FreePagesCall
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import PAGE_SHIFT

_ANY: Final = EfiAllocateType.AllocateAnyPages
_PLAIN_TYPES: Final = frozenset(kind for kind in EfiMemoryType if kind < EfiMemoryType.EfiConventionalMemory)
"""Types that no generation of firmware refuses to allocate."""
_FEW: Final = 8
"""So few calls are made sooner than found among the known stretches."""
_MOST_KEPT: Final = 32


class _Stretch(NamedTuple):
    """A stretch of calls that was made, each of which succeeded.

    Attributes:
        bins: The bins that were in force.
        began: The memory map before.
        held: Where the pages of earlier calls are, by the call's number.
        made: What the journal has of it.
        ended: The memory map after.
        holds: ``held`` after.
        following: Number of the call after it.
    """

    bins: Bins
    began: MemoryMap
    held: dict[int, int]
    made: list[AllocatePagesCall | FreePagesCall]
    ended: MemoryMap
    holds: dict[int, int]
    following: int


_Key = tuple[FirmwareCalls, int, str | None, tuple[int, ...]]
"""The calls, the number of the first one, the mark at the end, and where free memory starts."""

_known: dict[_Key, _Stretch] = {}
"""The stretches that were made last."""


class FirmwarePlayer:
    """Replay of what firmware allocates by itself between the steps of a boot.

    Args:
        services: The firmware.
        calls: What was recorded.
        initrd_size: Bytes of the initrd that QEMU hands over, or 0.
        cmdline_size: Bytes of its command line with the NUL, or 0.
    """

    def __init__(
        self, services: BootServices, calls: Sequence[FirmwareCall], initrd_size: int = 0, cmdline_size: int = 0
    ) -> None:
        self._services = services
        known = calls if isinstance(calls, FirmwareCalls) else FirmwareCalls(calls)
        self._calls = with_pool_pages(known, initrd_size, cmdline_size)
        self._next = 0
        self._pages: dict[int, int] = {}

    def run_to(self, mark: str) -> None:
        """Make all calls up to the step ``mark``, which the caller then does itself; a mark in the past is skipped."""
        if self._calls.marks.get(mark, -1) >= self._next:
            self._run(mark)

    def run_to_end(self) -> None:
        """Make all calls that are left."""
        self._run(None)

    def _run(self, mark: str | None) -> None:
        services = self._services
        with services.trace.on_behalf_of("firmware"):
            if not services.allocates_unobserved:
                self._make(mark, unobserved=False)
            elif self._calls.marks.get(mark or "", len(self._calls)) - self._next < _FEW or (
                services.core.protection.has_ranges
            ):
                self._make(mark, unobserved=True)
            else:
                self._make_or_repeat(mark)

    def _make_or_repeat(self, mark: str | None) -> None:
        core, trace = self._services.core, self._services.trace
        memory_map = core.memory_map
        key = self._calls, self._next, mark, memory_map.free_starts
        known = _known.get(key)
        if known is not None and known.bins is core.bins and known.held == self._pages and known.began == memory_map:
            self._repeat(known)
            return
        first, held = len(trace), self._pages.copy()
        began = memory_map.copy()
        self._make(mark, unobserved=True)
        made = [
            record
            for record in trace.records[first:]
            if isinstance(record, AllocatePagesCall | FreePagesCall) and record.status is SUCCESS
        ]  # where memory was accepted for one of them, that has a record, too
        if len(made) == len(trace) - first:
            _known.pop(key, None)
            _known[key] = _Stretch(
                bins=core.bins,
                began=began,
                held=held,
                made=made,
                ended=memory_map.copy(),
                holds=self._pages.copy(),
                following=self._next,
            )
            if len(_known) > _MOST_KEPT:
                del _known[next(iter(_known))]

    def _repeat(self, stretch: _Stretch) -> None:
        trace = self._services.trace
        if not trace.share(stretch.made):
            for made in stretch.made:
                if isinstance(made, FreePagesCall):
                    trace.add(FreePagesCall(made.memory, made.pages))
                else:
                    record = AllocatePagesCall(made.allocate_type, made.memory_type, made.pages, made.asked)
                    record.memory = made.memory
                    trace.add(record)
        self._services.core.memory_map.assume(stretch.ended)
        self._pages = stretch.holds.copy()
        self._next = stretch.following

    def _make(self, mark: str | None, unobserved: bool) -> None:
        services, calls, pages_of = self._services, self._calls, self._pages
        free = services.give_pages if unobserved else services.free_pages
        for number in range(self._next, len(calls)):
            do, memory_type, pages, maximum, frees, offset, address, *_ = calls[number]
            if do is not None:
                if do == mark:
                    self._next = number + 1
                    return
            elif memory_type is not None:
                if unobserved and maximum is None and memory_type in _PLAIN_TYPES and pages:
                    start = services.take_pages(memory_type, pages)
                else:
                    start = self._allocate(memory_type, pages, maximum)
                if start:
                    pages_of[number] = start
            elif frees is not None and frees in pages_of:
                free(pages_of[frees] + (offset << PAGE_SHIFT), pages)
            elif address is not None:
                free(address, pages)
        self._next = len(calls)

    def _allocate(self, memory_type: EfiMemoryType, pages: int, maximum: int | None) -> int:
        kind = _ANY if maximum is None else EfiAllocateType.AllocateMaxAddress
        status, start = self._services.allocate_pages(kind, memory_type, pages, maximum or 0)
        return start if status is SUCCESS else 0
