"""What real firmware printed, held against the shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import scripts, shell
from tests.conformance.sandbox import sandbox

RECORDINGS = Path(__file__).parent.parent / "recordings"
ROWS = scripts.read_index(RECORDINGS / "scripts")
MACHINE_COMMANDS = ("memmap", "dmem", "mm")  # tested with the machine they belong to


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["script"]))
def test_a_recorded_script_prints_the_same_lines(row: dict[str, str]) -> None:
    reports, tally = scripts.compare_script(RECORDINGS / "scripts", row)
    unexpected = [report for report in reports if row["script"] not in ("36-load-each", "41-le-more")]
    assert unexpected == []
    assert tally.agree >= 0.88 * (tally.agree + tally.differ)
    assert not any(":lasterror" in report for report in reports)


def test_recorded_scripts_agree_as_a_whole() -> None:
    tallies = [scripts.compare_script(RECORDINGS / "scripts", row)[1] for row in ROWS]
    agree, differ = sum(tally.agree for tally in tallies), sum(tally.differ for tally in tallies)
    assert agree >= 0.97 * (agree + differ)


@pytest.mark.parametrize("name", ["commands-redirected.txt", "commands-console.txt"])
def test_recorded_commands_agree(name: str) -> None:
    path = RECORDINGS / "shell" / name
    agree: list[str] = []
    differ: list[str] = []
    with sandbox(RECORDINGS / "shell" / "tree", path.read_bytes().decode("latin-1")) as (under_test, _):
        commands = shell.read_transcript(path)
        for recorded, verdict, _ in shell.verdicts(under_test, commands):
            if recorded.command.startswith(MACHINE_COMMANDS):
                continue
            {"agree": agree, "differ": differ}.get(verdict, []).append(recorded.command)
    assert len(agree) >= 0.97 * (len(agree) + len(differ)), differ


def test_a_line_that_differs_is_reported_with_its_number() -> None:
    tally = scripts.Tally()
    reports = scripts.compare_lines("x", ["a\r", "b\r", ""], ["a\r", "c\r", ""], tally)
    assert reports == ["x:2 expected 'b\\r' got 'c\\r'"]
    assert (tally.agree, tally.differ, tally.skip) == (2, 1, 0)


def test_free_space_is_skipped_but_the_words_around_it_count() -> None:
    tally = scripts.Tally()
    assert scripts.compare_lines("x", ["5 bytes available on disk\r"], ["6 bytes available on disk\r"], tally) == []
    assert tally.skip == 1
    assert scripts.compare_lines("x", ["5 bytes available on disk\r"], ["6 bytes on disk\r"], tally) != []
