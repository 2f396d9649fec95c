"""From a recording's first map to a machine: what the recording itself says about state that the map does not show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.memory.import_map import core_from_descriptors, recognise, split_ram
from tdvfsh.dxe.memory.memory_map import CONVENTIONAL
from tdvfsh.dxe.profile import BOOKWORM, SID, TRIXIE, FirmwareProfile
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace
from tdvfsh.uefi.memory import EfiAllocateType, MemoryDescriptor
from tdvfsh.units import GIB, MIB, PAGE_SHIFT
from tests.conformance.recording import Event
from tests.conformance.replay import Replay
from tests.conformance.tally import Tally

_GENERATIONS: Final = {"2022.11": BOOKWORM, "2025.02": TRIXIE, "2026.08": SID}
_PERHAPS_A_PAGE_MORE: Final = 8  # spare descriptors: about as many as come and go while firmware loads an image
_ANSWERS: Final = {
    # what the generations answer differently, in lines that any recording may hold
    "AllocatePages t=0x2 m=0x2 n=0x1 in=0x0": ("SUCCESS", "SUCCESS", "NOT_FOUND"),
    "LoadImage no src no path": ("INVALID_PARAMETER", "INVALID_PARAMETER", "NOT_FOUND"),
    "AllocatePool m=0xF size=0x64": ("SUCCESS", "INVALID_PARAMETER", "INVALID_PARAMETER"),
    "AllocatePool m=0xF size=0x0": ("SUCCESS", "INVALID_PARAMETER", "INVALID_PARAMETER"),
}


def machine_from(
    events: Sequence[Event], descriptors: Sequence[MemoryDescriptor], profile: FirmwareProfile
) -> BootServices:
    """A machine that stands where the recording begins."""
    free = free_in_bins(events, core_from_descriptors(descriptors, profile))
    services = plain_services(core_from_descriptors(descriptors, profile, free_in_bins=free))
    pages = services.core.memory_map.descriptor_pages
    if pages.spare is not None and pages.spare <= _PERHAPS_A_PAGE_MORE:
        # There may have been more descriptors once, and then one page more of them: the recording knows.
        before = _misses(services.core, events)
        pages.spare += pages.per_page
        if _misses(services.core, events) >= before:
            pages.spare -= pages.per_page
    return services


def _misses(core: DxeCore, events: Sequence[Event]) -> int:
    """How many lines of a recording's memory calls a copy of ``core`` answers differently."""
    tally = Tally("trial")
    memory_calls = list(takewhile(lambda event: event.verb != "LoadImage", events))
    Replay(plain_services(core.copy()), tally).run(memory_calls)
    return len(tally.differences)


def plain_services(core: DxeCore) -> BootServices:
    """Boot services over ``core``, in a guest without TDX that has as much RAM as the map shows."""
    end = max((entry.end for entry in core.memory_map), default=0)
    memory = end if end <= 4 * GIB else end - 2 * GIB
    return BootServices(core, TrustDomain(RamLayout.q35(max(memory, 128 * MIB)), td=False), Trace())


def choose_profile(events: Sequence[Event], descriptors: Sequence[MemoryDescriptor]) -> FirmwareProfile:
    """The generation that a recording shows: by answers that differ between them, else by the firmware's layout."""
    profiles = (BOOKWORM, TRIXIE, SID)
    scores = [0, 0, 0]
    for event in events:
        answers = _ANSWERS.get(event.text.split(" -> ")[0])
        if answers is not None and event.status is not None:
            for index, answer in enumerate(answers):
                scores[index] += answer == event.status
    firmware = recognise(split_ram(descriptors)[0])
    known = None if firmware is None else _GENERATIONS.get(firmware.model.edk2, SID)
    best = [profile for profile, score in zip(profiles, scores, strict=True) if score == max(scores)]
    return known if known in best and known is not None else best[-1]


def free_in_bins(events: Iterable[Event], core: DxeCore) -> dict[int, list[tuple[int, int]]]:
    """What is free in each bin, where the recording's first answers say other than the recorded firmware does.

    A bin is filled from its top, so the first page that is given out of it shows where its free part ends.
    """
    found: dict[int, list[tuple[int, int]]] = {}
    seen: set[int] = set()
    for event in events:
        if event.verb != "AllocatePages" or event.status != "SUCCESS" or "NULL" in event.words:
            continue
        memory_type, start = event.number("m"), event.result("out")
        area = core.bins.get(memory_type)
        if area is None or not area.is_special or memory_type in seen or not area.start <= start < area.end:
            continue
        allocate_type, limit = event.number("t"), event.number("in")
        if allocate_type == EfiAllocateType.AllocateMaxAddress and limit < area.end - 1:
            continue
        if allocate_type == EfiAllocateType.AllocateAddress:
            continue
        seen.add(memory_type)
        end = start + (event.number("n") << PAGE_SHIFT)
        if core.pages.find_free_pages((1 << 64) - 1, event.number("n"), memory_type) == start:
            continue
        free = [
            (max(entry.start, area.start), min(entry.end, area.end, end))
            for entry in core.memory_map
            if entry.memory_type == CONVENTIONAL and entry.start < area.end and area.start < entry.end
        ]
        free = [(low, high) for low, high in free if low < high]
        if not any(low <= start and end <= high for low, high in free):
            free = [(area.start, end)]
        found[memory_type] = free
    return found
