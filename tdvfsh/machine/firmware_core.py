"""The DXE core of a recorded firmware: its footprint in the RAM that it has, all else in the GCD, pools with room.

What comes of the same firmware in the same RAM is kept: many machines of a sweep start alike. A core that was kept is
only ever copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from tdvfsh.dxe.core import DxeCore, start_core
from tdvfsh.dxe.memory.bins import stack_bins
from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.dxe.memory.memory_map import MapEntry
from tdvfsh.dxe.memory.protection import POLICIES, MemoryProtection
from tdvfsh.dxe.profile import FirmwareProfile
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.footprint import FirmwareModel, check_room
from tdvfsh.uefi.memory import AddressSpan, EfiGcdMemoryType, EfiMemoryType, memory_type_name
from tdvfsh.units import GIB, PAGE_SIZE, human_size

_LEGACY_HOLE: Final = (0xA0000, 0x100000)
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_CONVENTIONAL: Final = EfiMemoryType.EfiConventionalMemory
_POOL_PAGES: Final = 32
"""BootServicesData pages treated as pool memory with room: a running firmware's small requests find their place."""
_KEPT: Final = 64


def firmware_ram(spans: Iterable[AddressSpan], accept_end: int) -> list[AddressSpan]:
    """RAM that firmware has when DXE starts: what SEC accepted of ``spans``, which ends at ``accept_end``."""
    return [AddressSpan(span.start, min(span.end, accept_end)) for span in spans if span.start < accept_end]


def low_end(spans: Iterable[AddressSpan]) -> int:
    """Where the highest of ``spans`` below 4 GiB ends; 0 without one."""
    return max((span.end for span in spans if span.start < 4 * GIB), default=0)


class CoreStart(NamedTuple):
    """What a core follows from.

    Attributes:
        model: The recorded firmware.
        stage_name: How far it has come.
        profile: The rules of its generation.
        spans: The machine's RAM.
        accept_end: Where what SEC accepted ends; beyond all RAM in a plain VM.
        is_td: Whether RAM beyond that is unaccepted, and attributes are as in a TD.
        vcpus: Virtual processors.
        gpaw: Bits of a guest physical address.
        protect: Name of the policy of memory protection.
    """

    model: FirmwareModel
    stage_name: str
    profile: FirmwareProfile
    spans: tuple[AddressSpan, ...]
    accept_end: int
    is_td: bool
    vcpus: int
    gpaw: int
    protect: str


def firmware_core(inputs: CoreStart) -> DxeCore:
    """The core of firmware that has come as far as one of its stages.

    Raises:
        UsageError: What is accepted is too little for the firmware, or RAM lies beyond ``gpaw``.
    """
    return _kept_core(inputs).copy()


@lru_cache(maxsize=_KEPT)
def _kept_core(inputs: CoreStart) -> DxeCore:
    model, stage_name, profile, spans, accept_end, is_td, vcpus, gpaw, protect = inputs
    ram = firmware_ram(spans, accept_end)
    top = low_end(ram)
    check_room(model, stage_name, top)
    attribute = 0 if is_td else model.attribute
    entries = [
        MapEntry(piece.start, piece.end, piece.memory_type, attribute | piece.capabilities)
        for piece in model.stages[stage_name].layout(top, vcpus)
    ]
    hole = not any(entry.start <= _LEGACY_HOLE[0] < entry.end for entry in entries)
    if is_td and hole:  # recorded from a plain VM; OVMF skips its MMIO HOB there in a TD
        entries.append(MapEntry(*_LEGACY_HOLE, _CONVENTIONAL, attribute))
    entries = list(_in_ram(entries, ram, model.name))
    gcd = MemorySpaceMap(gpaw)
    for start, end in _without_seams(entries):
        _add_ram(gcd, start, end, EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory, attribute)
    for span in spans:
        accepted_end = max(span.start, min(span.end, accept_end))
        if span.start >= 4 * GIB and span.start < accepted_end:
            entries.append(MapEntry(span.start, accepted_end, _CONVENTIONAL, attribute))
            _add_ram(gcd, span.start, accepted_end, EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory, attribute)
        if accepted_end < span.end:
            _add_ram(gcd, accepted_end, span.end, EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted, 0)
    for outside in model.outside:
        if is_td and not outside.in_td:
            continue
        kind = (
            EfiGcdMemoryType.EfiGcdMemoryTypeMemoryMappedIo
            if outside.memory_type == EfiMemoryType.EfiMemoryMappedIO
            else EfiGcdMemoryType.EfiGcdMemoryTypeReserved
        )
        gcd.add_memory_space(kind, outside.start, outside.end - outside.start, outside.attribute, outside.attribute)
    core = start_core(profile, entries, stack_bins(model.bins_top(top), model.bins), gcd)
    adopt_pool_pages(core, entries)
    for memory_type in model.pool_room:
        adopt_pool_pages(core, entries, memory_type)
    protect_core(core, protect)
    return core


def protect_core(core: DxeCore, name: str) -> None:
    """Put the policy of memory protection called ``name`` into force; what is in memory already is firmware's own."""
    core.protection = MemoryProtection(POLICIES[name])
    core.protection.adopt(core.memory_map)


def adopt_pool_pages(core: DxeCore, entries: Iterable[MapEntry], memory_type: EfiMemoryType = _BS_DATA) -> None:
    """Make room for one of the firmware's pools in the largest block of such pages that it holds already."""
    largest = max(
        (entry for entry in entries if entry.memory_type == memory_type),
        key=lambda entry: entry.end - entry.start,
        default=None,
    )
    if largest is not None:
        for page in range(
            largest.end - PAGE_SIZE, max(largest.start, largest.end - _POOL_PAGES * PAGE_SIZE), -PAGE_SIZE
        ):
            core.pool.adopt_free_blocks(memory_type, page)


def _in_ram(entries: Iterable[MapEntry], ram: Sequence[AddressSpan], firmware: str) -> Iterator[MapEntry]:
    """What of a footprint is RAM: free memory ends where RAM does, and firmware itself has to lie in it.

    Raises:
        UsageError: Something of the firmware's own has no RAM under it.
    """
    for entry in entries:
        if any(span.start <= entry.start and entry.end <= span.end for span in ram):
            yield entry
            continue
        parts = [
            entry._replace(start=max(entry.start, span.start), end=min(entry.end, span.end))
            for span in ram
            if span.start < entry.end and entry.start < span.end
        ]
        whole = sum(part.end - part.start for part in parts) == entry.end - entry.start
        if entry.memory_type != _CONVENTIONAL and not whole:
            kind = memory_type_name(entry.memory_type)
            raise UsageError(
                f"the TD does not start: firmware {firmware} keeps {kind} at [{entry.start:#x}, {entry.end:#x}), and "
                f"not all of that is accepted RAM"
            )
        yield from parts if entry.memory_type == _CONVENTIONAL else [entry]


def _without_seams(entries: Iterable[MapEntry]) -> Iterator[tuple[int, int]]:
    """The ranges that the entries cover, neighbours as one: to the GCD all of it is system memory."""
    start = end = -1
    for entry in sorted(entries):
        if entry.start != end:
            if end > start:
                yield start, end
            start = entry.start
        end = entry.end
    if end > start:
        yield start, end


def _add_ram(gcd: MemorySpaceMap, start: int, end: int, kind: EfiGcdMemoryType, attribute: int) -> None:
    status = gcd.add_memory_space(kind, start, end - start, attribute)
    if status.is_error:
        raise UsageError(f"RAM at {start:#x} ({human_size(end - start)}) lies beyond what GPAW allows")
