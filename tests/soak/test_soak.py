"""A few thousand random commands in one shell."""

from __future__ import annotations

import os

from tdvfsh.shell.machine_binding import running_machine
from tests.soak.soak import Soak, resident_bytes


def test_memory_is_flat_nothing_is_left_open_and_every_byte_has_its_place_after_thousands_of_commands() -> None:
    soak = Soak(seed=5)
    soak.run(1500, stretch=500)
    opened, resident = len(os.listdir("/proc/self/fd")), resident_bytes()
    soak.run(3000, stretch=500)
    assert len(os.listdir("/proc/self/fd")) == opened
    assert resident_bytes() - resident < 12 << 20
    assert soak.slowest[0] < 5, soak.slowest


def test_one_td_under_thousands_of_commands_keeps_its_journal_and_hardly_more() -> None:
    soak = Soak(seed=6, one_td=True)
    soak.run(5000, stretch=1000)
    early, late = soak.stretches[1], soak.stretches[-1]
    assert late.records > early.records
    assert (late.resident - late.journal) - (early.resident - early.journal) < 10 << 20
    assert late.descriptors < 600


def test_the_same_seed_is_the_same_session() -> None:
    ends = []
    for _ in range(2):
        soak = Soak(seed=9)
        soak.run(300)
        machine = running_machine(soak.shell)
        assert machine is not None
        ends.append((soak.shell.last_error, machine.clock.now_ns, list(machine.services.core.memory_map)))
    assert ends[0] == ends[1]
