"""AllocatePages, FreePages and GetMemoryMap by the number of descriptors, journal included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.memory.memory_map import MapEntry
from tdvfsh.units import PAGE_SIZE
from tests.bench.measure import Figure, Goal, against, steady
from tests.bench.naive_firmware import NaiveFirmware
from tests.dxe.machines import ADDRESS, ANY, CONVENTIONAL, LOADER_DATA, MAX, WB, plain_machine

GROUP: Final = "pages"
COUNTS: Final = (125, 10_000, 100_000)
_NAIVE_COUNT: Final = 10_000
_PAIR_GOAL: Final = 8e-6
_MAP_GOAL: Final = 6e-6
_LONG_MAP_GOAL: Final = 100e-6
_HOLE: Final = 16
_TOP: Final = 4096
_SMALL: Final = COUNTS[0]
_JOURNAL: Final = 5000


def fragmented(count: int) -> list[MapEntry]:
    """``count`` descriptors, used and free by turns; one free range of 16 pages low down, a large one on top."""
    entries = []
    at = PAGE_SIZE
    for index in range(count):
        from_top = count - 1 - index
        is_free = from_top % 2 == 0
        pages = 1 + index // 2 % 3
        if is_free and index in (2, 3):
            pages = _HOLE
        if from_top == 0:
            pages = _TOP
        end = at + pages * PAGE_SIZE
        entries.append(MapEntry(at, end, CONVENTIONAL if is_free else LOADER_DATA, WB))
        at = end
    return entries


def pair_of(services: BootServices, allocate_type: int, pages: int, memory: int) -> Callable[[], object]:
    """One AllocatePages and the FreePages that undoes it; the journal is kept from growing without end."""
    records = services.trace.records

    def run() -> None:
        if len(records) > _JOURNAL:
            records.clear()
        services.free_pages(services.allocate_pages(allocate_type, LOADER_DATA, pages, memory).memory, pages)

    return run


def map_after_change(services: BootServices) -> Callable[[], object]:
    """GetMemoryMap after every allocation or free."""
    step = pair_of(services, ANY, 1, 0)

    def run() -> None:
        step()
        services.get_memory_map(1 << 40)

    return run


def figures() -> list[Figure]:
    """Pairs of three kinds and GetMemoryMap at each count, then beside a plain list walk."""
    machines = {count: plain_machine(entries=fragmented(count)) for count in COUNTS}
    found: list[Figure] = []
    for name, ask, limit in _KINDS:
        runs = {str(count): pair_of(services, *ask(fragmented(count))) for count, services in machines.items()}
        found += _by_count(name, runs, Goal(ours=limit) if limit else None, Goal(ratio=3))
    found += _maps(machines)
    for count in (_SMALL, _NAIVE_COUNT):
        found += _beside_a_list_walk(machines[count], count)
    return found


def _by_count(
    name: str, runs: dict[str, Callable[[], object]], first: Goal | None, others: Goal | None
) -> list[Figure]:
    medians, slowness = steady(runs)
    base = medians[str(_SMALL)]
    found = [Figure(GROUP, f"{name}, {_SMALL} descriptors", "", base, goal=first, at_full_speed=base / slowness)]
    for count in COUNTS[1:]:
        found.append(
            Figure(
                GROUP, f"{name}, {count:,} descriptors", f"the same at {_SMALL}", medians[str(count)], base, goal=others
            )
        )
    return found


def _maps(machines: dict[int, BootServices]) -> list[Figure]:
    """GetMemoryMap of an unchanged map, and what one costs after each change."""
    again: dict[str, Callable[[], object]] = {
        str(count): lambda services=services: services.get_memory_map(1 << 40)  # type: ignore[misc]
        for count, services in machines.items()
    }
    found = _by_count("GetMemoryMap, unchanged", again, Goal(ours=_MAP_GOAL), None)
    for count, services in machines.items():
        medians, slowness = steady({"pair": pair_of(services, ANY, 1, 0), "with map": map_after_change(services)})
        cost = medians["with map"] - medians["pair"]
        name = f"GetMemoryMap after a change, {count:,} descriptors"
        if count == _SMALL:
            base = cost
            found.append(Figure(GROUP, name, "", cost, goal=Goal(ours=_MAP_GOAL), at_full_speed=cost / slowness))
        else:
            found.append(Figure(GROUP, name, f"the same at {_SMALL}", cost, base, goal=Goal(ours=_LONG_MAP_GOAL)))
    return found


def _beside_a_list_walk(services: BootServices, count: int) -> list[Figure]:
    naive = NaiveFirmware(entry[:3] for entry in fragmented(count))
    peer = "list walk, in Python"
    return [
        *against(GROUP, f"AnyPages(1) + Free, {count:,} descriptors", pair_of(services, ANY, 1, 0),
                 {peer: lambda: naive.free(naive.allocate(1, LOADER_DATA), 1)}, Goal(ratio=1)),
        *against(GROUP, f"GetMemoryMap, {count:,} descriptors", lambda: services.get_memory_map(1 << 40),
                 {peer: naive.memory_map}, Goal(ratio=1)),
    ]  # fmt: skip


def _middle(entries: list[MapEntry]) -> int:
    middle = len(entries) // 2
    return next(entry.start for entry in entries[middle:] if entry.memory_type == CONVENTIONAL)


_KINDS: Final[tuple[tuple[str, Callable[[list[MapEntry]], tuple[int, int, int]], float | None], ...]] = (
    ("AnyPages(1) + Free", lambda entries: (ANY, 1, 0), _PAIR_GOAL),
    ("MaxAddress(8) that one low hole fits + Free", lambda entries: (MAX, 8, entries[-1].start - 1), None),
    ("AllocateAddress in the middle + Free", lambda entries: (ADDRESS, 1, _middle(entries)), 2 * _PAIR_GOAL),
)
