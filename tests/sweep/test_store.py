"""Results on disk: their order, and how little of them is held in memory."""

from __future__ import annotations

import csv
import json
import sys
import tracemalloc
from importlib import import_module
from pathlib import Path

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.sweep import store as store_module
from tdvfsh.sweep.axes import AXIS_NAMES, default_point
from tdvfsh.sweep.row import COLUMNS, Row, row_line
from tdvfsh.sweep.store import PARQUET, RESULTS, TABLE, ResultStore

_SOME = 1_000
_FLAT = 1 << 20  # all rows as values take 2 MiB


def _row(number: int) -> Row:
    row: Row = dict.fromkeys(COLUMNS)
    row.update(zip(AXIS_NAMES, default_point(), strict=True))
    return row | {
        "key": f"{number:020x}",
        "image": "made",
        "outcome": "boots",
        "status": "EFI_SUCCESS",
        "calls": number,
    }


def _fill(store: ResultStore, count: int) -> None:
    for first in range(0, count, 100):
        rows = [_row(number) for number in range(first, min(first + 100, count))]
        store.append([str(row["key"]) for row in rows], [row_line(row) for row in rows])


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with ResultStore(tmp_path) as store:
        tracemalloc.start()
        try:
            _fill(store, _SOME)
            rows = store.asked_for(str(_row(number)["key"]) for number in reversed(range(_SOME)))
            store.write_tables(rows)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(rows) == _SOME
    assert peak < _FLAT


def test_rows_come_in_the_order_that_is_asked_for_and_each_once(tmp_path: Path) -> None:
    asked = [3, 0, 2, 3]
    with ResultStore(tmp_path) as store:
        _fill(store, 5)
        rows = store.asked_for(f"{number:020x}" for number in asked)
        assert [row["calls"] for row in rows] == [3, 0, 2]
        assert [row["calls"] for row in rows] == [3, 0, 2], "again"
        assert (len(rows), len(store), store.strangers()) == (3, 5, 2)
        assert _row(2) in rows
        assert _row(4) not in rows


def test_tables_hold_what_the_rows_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = import_module("pyarrow.parquet")
    monkeypatch.setattr(store_module, "_ROW_GROUP", 16)
    with ResultStore(tmp_path) as store:
        _fill(store, 40)
        store.write_tables(store.asked_for(f"{number:020x}" for number in range(40)))
    lines = [json.loads(line) for line in (tmp_path / RESULTS).read_text().splitlines()]
    assert parquet.read_table(tmp_path / PARQUET).to_pylist() == lines
    assert parquet.ParquetFile(tmp_path / PARQUET).num_row_groups == 3
    with (tmp_path / TABLE).open(newline="") as file:
        assert [row["calls"] for row in csv.DictReader(file)] == [str(row["calls"]) for row in lines]


def test_a_scenario_that_stands_twice_in_the_file_is_named(tmp_path: Path) -> None:
    line = row_line(_row(7)) + "\n"
    (tmp_path / RESULTS).write_text(line + line)
    with pytest.raises(FormatError, match=r"line 2 repeats scenario 0{19}7"):
        ResultStore(tmp_path)
