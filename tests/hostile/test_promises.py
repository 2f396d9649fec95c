"""What SECURITY.md promises names tests that are there, and names every test of this folder."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()


def test_every_row_of_its_tables_names_a_test_that_is_there() -> None:
    rows = [line for line in TEXT.split("\n") if line.startswith("| ") and not line.endswith("| held by |")]
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row.split("|")[-2])
        assert named, row
        for name in named:
            assert "\ndef test_" in (ROOT / name).read_text(), name


def test_no_test_of_a_harm_is_left_out() -> None:
    there = {f"tests/hostile/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert {name for name in there if name not in TEXT} == {"tests/hostile/test_promises.py"}
