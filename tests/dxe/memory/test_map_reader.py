"""Maps read one after the other are those that would be put together from nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.dxe.memory.get_memory_map import build_memory_map
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.units import GIB, MIB


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
