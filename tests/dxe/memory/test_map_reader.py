"""Maps read one after the other are those that would be put together from nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.dxe.memory.get_memory_map import build_memory_map
from tdvfsh.dxe.memory.memory_map import MapEntry
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.units import GIB, MIB, PAGE_SIZE
from tests.dxe.machines import ADDRESS, CONVENTIONAL, LOADER_DATA, WB, plain_machine


def _is_whole(machine: Machine) -> bool:
    core = machine.services.core
    return core.read_memory_map() == build_memory_map(core.memory_map, core.bins, core.gcd, core.profile)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("apf2"), st.integers(0, 200)), max_size=15))
def test_after_any_change_the_map_is_as_if_it_were_read_for_the_first_time(steps: list[tuple[str, int]]) -> None:
    machine = Machine(TdOptions(memory=1 * GIB))
    services = machine.services
    assert _is_whole(machine)
    taken: list[tuple[int, int]] = []
    for kind, number in steps:
        if kind == "a":
            pages = number % 40 + 1
            taken.append((services.allocate_pages(0, 2 + number % 5, pages, 0).memory, pages))
        elif kind == "p":
            services.allocate_pool(2 + number % 5, number * 61)
        elif kind == "f" and taken:
            services.free_pages(*taken.pop(number % len(taken)))
        elif kind == "2":
            services.accept_memory(512 * MIB + number * 2 * MIB, 2 * MIB)
        assert _is_whole(machine)


def test_what_is_freed_joins_the_piece_below_it_that_is_reported_alike() -> None:
    """gMemoryMap may hold two descriptors where the map shows one: the lower one's neighbour has to come along."""
    machine = Machine(TdOptions(memory=1 * GIB))
    before = machine.services.memory_map_view()
    memory = machine.services.allocate_pages(0, 2, 1, 0).memory
    machine.services.memory_map_view()
    machine.services.free_pages(memory, 1)
    assert machine.services.memory_map_view().descriptors == before.descriptors


def _alternating(count: int) -> list[MapEntry]:
    """Free and used by turns, from the second page up."""
    ends = range(2 * PAGE_SIZE, (count + 2) * PAGE_SIZE, PAGE_SIZE)
    return [
        MapEntry(end - PAGE_SIZE, end, (CONVENTIONAL, LOADER_DATA)[index % 2], WB) for index, end in enumerate(ends)
    ]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(200, 3000), st.lists(st.tuples(st.booleans(), st.integers(0, 2999), st.integers(1, 600)), max_size=12)
)
def test_after_any_change_of_a_long_map_it_is_as_if_it_were_read_for_the_first_time(
    count: int, steps: list[tuple[bool, int, int]]
) -> None:
    services = plain_machine(entries=_alternating(count))
    core = services.core
    for allocates, index, pages in [(True, 0, 1), *steps]:
        address = (index % count + 1) * PAGE_SIZE
        if allocates:
            services.allocate_pages(ADDRESS, LOADER_DATA, 1, address)
        else:
            for page in range(pages):  # many: whole chunks become one descriptor
                services.free_pages(address + page * PAGE_SIZE, 1)
        whole = build_memory_map(core.memory_map, core.bins, core.gcd, core.profile)
        assert core.read_memory_map() == whole
        assert len(services.memory_map_view().descriptors) == len(whole.descriptors)


def test_a_map_that_was_read_does_not_change_with_the_machine() -> None:
    services = plain_machine(entries=_alternating(2000))
    before = services.memory_map_view().descriptors
    kept = tuple(before)
    services.free_pages(2 * PAGE_SIZE, 1)
    assert before == kept
    assert services.memory_map_view().descriptors != before


def test_a_long_map_is_used_as_a_tuple_is() -> None:
    view = plain_machine(entries=_alternating(2000)).memory_map_view().descriptors
    plain = tuple(view)
    assert not isinstance(view, tuple)
    assert (view[0], view[-1], view[3:7], len(view)) == (plain[0], plain[-1], plain[3:7], 2000)
    assert view == plain
    assert plain == view
    assert (hash(view), repr(view)) == (hash(plain), repr(plain))
