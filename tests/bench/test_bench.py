"""The benchmark's own arithmetic, and the naive allocator that it measures against."""

from __future__ import annotations

import json

from tests.bench.measure import Figure, Goal, interleave
from tests.bench.naive_firmware import NaiveFirmware
from tests.bench.pages import fragmented
from tests.bench.table import as_json, as_table, quantity
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
