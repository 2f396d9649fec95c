"""Sweep specs and results that others wrote."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.hostile.program import refused, run

MADE = '[[made]]\nkernel_size="12M"\ninit_size="56M"\ninitrd_size=["1M"]\n'
BOUND = "--yes runs them anyway"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (MADE + '[[grid]]\naccept=[{from="4K",to="64T",step="4K"}]\n', "17179869184 scenarios, more than"),
        (MADE + "[[grid]]\nvcpus=[" + "1," * 5000 + "]\ngpaw=[" + "48," * 5000 + "]\n", BOUND),
        ('[[made]]\nkernel_size=[' + '"12M",' * 5000 + ']\ninit_size=[' + '"56M",' * 5000 + "]\n", BOUND),
        ("a=" + "[" * 100_000, "nested too deeply"),
        (MADE + "[[grid]]\nkaslr_seed=[" + "9" * 6000 + "]\n", "an integer of thousands of digits"),
        ("\udc80", "not text"),
    ],
)  # fmt: skip
def test_a_spec_that_asks_for_too_much_is_refused_before_anything_is_made(tmp_path: Path, spec: str, why: str) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(spec, errors="surrogateescape")
    line = refused(run("sweep", str(path), "-o", str(tmp_path / "out"), memory=300 << 20))
    assert str(path) in line
    assert why in line
    assert not (tmp_path / "out").exists()


def test_no_field_of_the_table_begins_a_formula_or_holds_a_control(tmp_path: Path) -> None:
    path, out = tmp_path / "spec.toml", tmp_path / "out"
    names = ["=1+1", "+1", "-1", "@a", "a\x1b[31m", "plain"]
    images = [f"[[made]]\nname={json.dumps(name)}\nkernel_size='12M'\ninit_size='56M'\n" for name in names]
    path.write_text("\n".join(images) + "[[grid]]\nmemory=['1G']\n")
    assert run("sweep", str(path), "-o", str(out)).returncode == 0
    text = (out / "results.csv").read_text()
    cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "-"))]
    assert text.replace("\n", "").isprintable()
    assert {"'=1+1", "a\\x1b[31m", "plain"} <= set(cells)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("boot_bytes", "many", "line 2: boot_bytes is not a whole number"),
        ("boot_accept_seconds", [1], "line 2: boot_accept_seconds is not a number"),
        ("why", {}, "line 2: why is not a text"),
        ("accept", None, "line 2: accept is not a text or a whole number"),
        ("nothing", 1, "line 2: not a result of a sweep"),
    ],
)
def test_a_result_of_another_type_is_refused_with_line_and_field(
    tmp_path: Path, name: str, value: object, why: str
) -> None:
    path, out = tmp_path / "spec.toml", tmp_path / "out"
    path.write_text(MADE + "[[grid]]\nmemory=['1G']\n")
    assert run("sweep", str(path), "-o", str(out)).returncode == 0
    results = out / "results.jsonl"
    row = json.loads(results.read_text())
    with results.open("a") as file:
        file.write(json.dumps({**row, "key": "other", name: value}) + "\n")
    for words in (["-o", str(out), "--json", "--plot", "svg"], [str(path), "-o", str(out)]):
        line = refused(run("sweep", *words))
        assert line.endswith(f"results.jsonl: {why}\n")
