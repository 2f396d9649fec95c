"""The benchmark's own arithmetic, and the naive allocator that it measures against."""

from __future__ import annotations

import json
import time
from dataclasses import replace

from tests.bench.measure import Figure, Goal, in_turns, interleave, steady
from tests.bench.naive_firmware import NaiveFirmware
from tests.bench.pages import fragmented
from tests.bench.table import as_json, as_table, quantity, verdict
from tests.dxe.machines import ANY, LOADER_DATA, MAX, plain_machine

FIGURES = [
    Figure("g", "fast", "peer", 1e-6, 4e-6, goal=Goal(ratio=0.5, ours=2e-6)),
    Figure("g", "slow", "peer", 3e-6, 4e-6, goal=Goal(ratio=0.5)),
    Figure("h", "absent", "peer", skipped="it is not here"),
]


def test_a_goal_is_met_only_where_every_bound_holds() -> None:
    assert [figure.met for figure in FIGURES] == [True, False, None]
    assert Figure("g", "n", "p", 3e-6, 40e-6, goal=Goal(ratio=0.5, ours=2e-6)).met is False
    assert [figure.ratio for figure in FIGURES] == [0.25, 0.75, None]


def test_the_table_has_every_figure_with_both_medians_or_the_reason() -> None:
    text = as_table(FIGURES)
    assert "| fast   | peer | 1 µs | 4 µs   | 0.25  | ≤ 0.5 ×, ≤ 2 µs | met" in text
    assert "MISSED" in text
    assert "skipped: it is not here" in text
    assert [entry["ratio"] for entry in json.loads(as_json(FIGURES))] == [0.25, 0.75, None]
    assert [quantity(value, "s") for value in (2, 0.0015, 2e-6)] == ["2 s", "1.5 ms", "2 µs"]
    assert quantity(3 << 20, "B") == "3.0 MiB"


def test_a_limit_missed_on_a_slow_machine_is_told_with_what_it_would_be_at_full_speed() -> None:
    slow = Figure("g", "n", "", 9e-6, goal=Goal(ours=8e-6), at_full_speed=5e-6, note="a note")
    assert (slow.met, slow.met_at_full_speed) == (False, True)
    assert verdict(slow) == "met: 5 µs with this machine at its fastest; a note"
    missed = replace(slow, at_full_speed=8.5e-6, note="")
    assert missed.met_at_full_speed is False
    assert verdict(missed) == "MISSED: 8.5 µs with this machine at its fastest"
    assert verdict(replace(slow, ours=7e-6)) == "met; a note"


def test_slowness_is_what_a_yardstick_says() -> None:
    found = steady({"a": lambda: None}, rounds=3)
    assert set(found.medians) == {"a"}
    assert found.slowness >= 1


def test_long_runs_take_turns_and_the_first_does_not_count() -> None:
    order: list[str] = []

    def slow_at_first() -> None:
        order.append("a")
        if len(order) == 1:
            time.sleep(0.05)

    medians = in_turns({"a": slow_at_first, "b": lambda: order.append("b")}, rounds=1)
    assert "".join(order) == "abab"
    assert medians["a"] < 0.05


def test_runs_are_measured_in_turn() -> None:
    order: list[str] = []
    medians = interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2)
    assert set(medians) == {"a", "b"}
    assert "".join(order).count("ab") >= 2
    assert "".join(order).count("ba") >= 2


def test_the_naive_allocator_gives_the_addresses_that_firmwares_rules_give() -> None:
    entries = fragmented(125)
    services, naive = plain_machine(entries=entries), NaiveFirmware(entry[:3] for entry in entries)
    assert len(services.core.memory_map) == 125
    for pages in (1, 8, 2, 5000):
        got = services.allocate_pages(ANY, LOADER_DATA, pages, 0)
        assert naive.allocate(pages, LOADER_DATA) == (got.memory if not got.status.is_error else 0)
    limit = entries[-1].start - 1
    hole = services.allocate_pages(MAX, LOADER_DATA, 8, limit)
    assert naive.allocate(8, LOADER_DATA, limit) == hole.memory
    naive.free(hole.memory, 8)
    services.free_pages(hole.memory, 8)
    ours = [(entry.memory_type, entry.start, (entry.end - entry.start) >> 12) for entry in services.core.memory_map]
    assert sorted(naive.memory_map(), key=lambda entry: entry[1]) == ours
