"""Result sets side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tdvfsh.sweep.check import compare_results, ending, is_worse
from tdvfsh.sweep.row import Row
from tests.sweep.conftest import MADE, SpecFile

GRID = '[[grid]]\nmemory = "2G"\naccept = "512M"\nloader = ["direct", "grub2.12"]\n'


def _grown(size: str) -> str:
    return MADE.replace('["40M", "300M"]', f'"{size}"') + GRID


def test_an_initrd_that_has_grown_too_large_is_said_to_no_longer_boot(swept: Callable[..., list[Row]]) -> None:
    before, after = swept(_grown("100M"), "before"), swept(_grown("600M"), "after")
    found = compare_results(before, after)
    assert [(one.kind, one.line) for one in found] == [
        ("worse", f"cloud, memory 2G, loader {loader}: no longer boots: {ending(row)}")
        for loader, row in zip(("direct", "grub2.12"), after, strict=True)
    ]
    assert "needs 600 MiB, has" in found[0].line
    assert is_worse(found)


def test_the_other_way_round_it_is_better_and_no_reason_to_stop(swept: Callable[..., list[Row]]) -> None:
    before, after = swept(_grown("600M"), "before"), swept(_grown("100M"), "after")
    found = compare_results(before, after)
    assert [one.kind for one in found] == ["better", "better"]
    assert "boots now, did not before: OUT_OF_RESOURCES at fetch_blobs" in found[0].line
    assert not is_worse(found)


def test_scenarios_that_are_in_one_set_only_are_named_and_a_missing_one_is_worse(
    swept: Callable[..., list[Row]],
) -> None:
    rows = swept(_grown("100M"))
    lost = compare_results(rows, rows[:1])
    assert [one.kind for one in lost] == ["gone"]
    assert lost[0].line.endswith("in the baseline only")
    assert is_worse(lost)
    new = compare_results(rows[:1], rows)
    assert [one.kind for one in new] == ["new"]
    assert not is_worse(new)


def test_equal_sets_have_no_difference(swept: Callable[..., list[Row]]) -> None:
    rows = swept()
    assert compare_results(rows, list(reversed(rows))) == []


@pytest.mark.parametrize("baseline", ["before", "before/results.jsonl"])
def test_the_command_ends_with_1_and_readable_lines_where_something_is_worse(
    spec_file: SpecFile, tmp_path: Path, baseline: str
) -> None:
    def tdvfsh(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tdvfsh", "sweep", *map(str, words), "--jobs", "1"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert tdvfsh(spec_file(_grown("100M"), "a.toml"), "-o", tmp_path / "before").returncode == 0
    worse = tdvfsh(spec_file(_grown("600M"), "b.toml"), "-o", tmp_path / "after", "--check", tmp_path / baseline)
    assert worse.returncode == 1
    lines = [line for line in worse.stdout.splitlines() if not line.startswith("  ")]  # long ones are folded
    assert lines[-2].startswith("worse: cloud, memory 2G, loader direct: no longer boots")
    same = tdvfsh("-o", tmp_path / "before", "--check", tmp_path / baseline)
    assert (same.returncode, same.stdout) == (0, "as in the baseline\n")
    missing = tdvfsh("-o", tmp_path / "before", "--check", tmp_path / "nowhere")
    assert missing.returncode == 2
    assert missing.stderr == f"tdvfsh: {tmp_path}/nowhere: no such file or directory\n"
